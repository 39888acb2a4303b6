"""Who titanic is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=3,
    slug="titanic",
    title="Titanic survival",
    summary="A passenger's row of Kaggle's table in, the chance of survival out; takes any table with two classes.",
    kind="table",
    level="beginner",
    dataset="titanic",
    promises=(
        Promise(metric="accuracy", target=0.83),
        Promise(metric="AUC", target=None),
        Promise(metric="Brier score", target=None, direction="lower"),
    ),
)
