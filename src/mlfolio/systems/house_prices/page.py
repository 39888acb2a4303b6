"""The page of house-prices: the dozen columns of Ames that matter most; the others are folded."""

from __future__ import annotations

from mlfolio.core.page import Ask

from .features import is_ames
from .model import PriceModel

FIRST = {
    "Neighborhood": "neighbourhood",
    "OverallQual": "quality, 1 to 10",
    "OverallCond": "condition, 1 to 9",
    "GrLivArea": "living area (square feet)",
    "TotalBsmtSF": "basement (square feet)",
    "LotArea": "lot (square feet)",
    "YearBuilt": "year built",
    "KitchenQual": "kitchen",
    "FullBath": "full bathrooms",
    "GarageCars": "cars in the garage",
    "Fireplaces": "fireplaces",
    "SaleCondition": "kind of sale",
}
GRADES = {"Ex": "excellent", "Gd": "good", "TA": "average", "Fa": "fair", "Po": "poor"}
NAMES = {
    **FIRST,
    **{f"KitchenQual={grade}": said for grade, said in GRADES.items()},
    "SalePrice": "price",
}


def build(ask: Ask) -> None:
    """The usual form; tables that are not of Ames have names of their own."""
    model = ask.model
    if isinstance(model, PriceModel) and is_ames(model.schema.names):
        ask.form(names=NAMES, first=FIRST)
    else:
        ask.form()
