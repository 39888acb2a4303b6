"""Who iris is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=1,
    slug="iris",
    title="Iris flower classification",
    summary="Four measurements of a flower in, one of three species out.",
    kind="table",
    level="beginner",
    dataset="iris",
    promises=(
        Promise(metric="accuracy", target=0.96),
        Promise(metric="hold-out accuracy", target=0.95),
    ),
    method=(
        "K nearest neighbours, a decision tree and logistic regression compete in cross-validation "
        "inside the training part; the one with the least log loss is fitted on all of it."
    ),
    intended_use="Learning how a classifier is chosen and measured; small tables of numbers.",
    limits=(
        "150 flowers of three species, measured in 1935: it knows no fourth species.",
        "One flower is 0.7 points of accuracy: differences between good models are chance.",
    ),
)
