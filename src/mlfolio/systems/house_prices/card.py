"""Who house-prices is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=2,
    slug="house-prices",
    title="House prices",
    summary="A house's row in, its price and an interval out; takes any table with a number.",
    kind="table",
    task="tabular-regression",
    level="beginner",
    dataset="house-prices",
    promises=(
        Promise(metric="RMSLE", target=0.118, direction="lower"),
        Promise(metric="R2", target=0.90),
        Promise(metric="RMSE", direction="lower"),
        Promise(metric="MAE", direction="lower"),
        Promise(metric="interval coverage"),
        Promise(metric="mean relative interval width", direction="lower"),
    ),
    method=(
        "Columns are read by their meaning: NA as 'there is none', grades in their order, sizes "
        "added up and set beside the neighbours'. Linear, ridge and lasso regression, an elastic "
        "net, an SVM and LightGBM are blended by non-negative least squares on their out-of-fold "
        "answers, in logarithms where those are less skewed. Intervals are normalised conformal "
        "ones. The claim is nested cross-validation over all rows."
    ),
    intended_use=(
        "Learning; and a sound first model for any table with a number to predict, where an "
        "interval that holds as often as it says and a reason for each row are wanted."
    ),
    limits=(
        "Ames, Iowa, from 2006 to 2010: prices of another town or year are other prices.",
        "Two houses that were sold unfinished cost far less than their size says. They count in "
        "every score; whether one is known when the other is asked for moves R2 by about a point.",
        "The features were developed on the same 1,460 houses that the folds are made of, on other "
        "fold seeds: allow some optimism beside the sampling error.",
        "The intervals hold on average over houses like those of training, not for each kind of "
        "house: the cheapest fifth is covered less often.",
        "The stored model holds training data: a few rows as examples, and the rows that the SVM "
        "rests on, as standardised numbers.",
    ),
)
