"""The page of titanic: the usual form, with Kaggle's columns and answers in words."""

from __future__ import annotations

from mlfolio.core.page import Ask
from mlfolio.parts.tabular.model import TabularModel

NAMES = {
    "Pclass": "ticket class",
    "Name": "name",
    "Sex": "sex",
    "Age": "age",
    "SibSp": "siblings and spouses aboard",
    "Parch": "parents and children aboard",
    "Ticket": "ticket",
    "Fare": "fare (pounds)",
    "Cabin": "cabin",
    "Embarked": "boarded at",
    "Embarked=C": "Cherbourg",
    "Embarked=Q": "Queenstown",
    "Embarked=S": "Southampton",
    "0": "did not survive",
    "1": "survived",
}


def build(ask: Ask) -> None:
    """The usual form."""
    ask.form(names=NAMES if _is_kaggles(ask.model) else {})


def _is_kaggles(model: object) -> bool:
    """Whether the model learned from Kaggle's table; other tables have names of their own."""
    return (
        isinstance(model, TabularModel)
        and set(map(str, model.classes)) == {"0", "1"}
        and {"Pclass", "SibSp", "Parch"} <= set(model.schema.names)
    )
