"""The page of churn: the usual form, and beside the answer what to do."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from mlfolio.core.errors import MlfolioError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.page import Ask

from .data import is_telco
from .model import ChurnModel, ChurnOutput
from .report import CAVEAT

NAMES: Final = {
    "SeniorCitizen": "senior citizen (0 no, 1 yes)",
    "tenure": "months with the company",
    "PhoneService": "phone service",
    "MultipleLines": "multiple lines",
    "InternetService": "internet service",
    "OnlineSecurity": "online security",
    "OnlineBackup": "online backup",
    "DeviceProtection": "device protection",
    "TechSupport": "tech support",
    "StreamingTV": "streaming TV",
    "StreamingMovies": "streaming movies",
    "PaperlessBilling": "paperless billing",
    "PaymentMethod": "payment method",
    "MonthlyCharges": "charge per month",
    "TotalCharges": "charges so far",
    "No": "stays",
    "Yes": "leaves",
}


def build(ask: Ask) -> None:
    """The usual form. The list of customers stays in the run's folder: pages have many readers."""
    model = ask.model
    telco = isinstance(model, ChurnModel) and is_telco(model.schema.names)
    ask.form(lambda row: _advice(ask.model, row), NAMES if telco else {})


def _advice(model: Any, row: Mapping[str, Any]) -> str:
    """What an offer would gain, and with what the chance would be less."""
    try:
        (output,) = model.predict(parse_inputs(model, [row]))
    except MlfolioError:  # which the answer says
        return ""
    if not isinstance(output, ChurnOutput):
        return ""
    verb = "gain" if output.gain > 0 else "lose"
    lines = "".join(
        f"<li>{escape(change.column)}: {escape(change.to)} instead of {escape(change.value)}: "
        f"{change.chance:.1%}</li>"
        for change in output.changes
    )
    what = f"<p>The chance would be less with</p><ul>{lines}</ul><p>{CAVEAT}</p>" if lines else ""
    return (
        f"<h4>What to do</h4><p>An offer is expected to {verb} {abs(output.gain):,.2f}.</p>{what}"
    )
