"""Who titanic is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=3,
    slug="titanic",
    title="Titanic survival",
    summary="A passenger's row in, the chance of survival out; takes any table with two classes.",
    kind="table",
    level="beginner",
    dataset="titanic",
    promises=(
        Promise(metric="accuracy", target=0.83),
        Promise(metric="AUC"),
        Promise(metric="Brier score", direction="lower"),
    ),
    method=(
        "Titles, decks, families, fares per head and the fate of the others in a passenger's "
        "party are learned inside the folds. Logistic regression, an SVM, LightGBM, a random "
        "forest and a stack of them compete in a grid search; the simplest within one standard "
        "error of the best is fitted and calibrated. On more than 5,000 rows it is logistic "
        "regression against LightGBM, and the best wins. The claim is nested cross-validation."
    ),
    intended_use=(
        "Learning; and a sound first model for any table with a column of two values, where a "
        "calibrated probability and a reason for each row are wanted."
    ),
    limits=(
        "Members of one family are on both sides of a random split, as in Kaggle's own test set; "
        "for strangers the party's fate says nothing, accuracy is lower, and nothing is left of "
        "the lead over LightGBM's defaults (accuracy on strangers).",
        "The features were developed on the same 891 passengers that the folds are made of: "
        "allow a few tenths of a point of optimism beside the sampling error.",
        "Sex and class decide most answers. That is history, not a rule for decisions on people.",
        "The stored model holds training data: a few rows as examples, and of a passenger list "
        "everybody's name, ticket and fate, which the parties need.",
    ),
)
