"""Who churn is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=19,
    slug="churn",
    title="Customer churn",
    summary="A customer's row in, the chance of leaving out, and what an offer to stay would gain.",
    kind="table",
    level="advanced",
    dataset="telco-churn",
    promises=(
        Promise(metric="AUC", target=0.85),
        Promise(metric="PR-AUC"),
        Promise(metric="log loss", direction="lower"),
        Promise(metric="Brier score", direction="lower"),
        Promise(metric="profit per customer"),
    ),
    method=(
        "Logistic regression whose numbers may bend, LightGBM with small trees, and the mean of "
        "both compete by log loss inside the folds; nothing is resampled, so the chances mean what "
        "they say. An offer goes to whom it is expected to gain by: from the chance at which what "
        "it keeps is worth its price. The claim is nested cross-validation."
    ),
    intended_use=(
        "Learning; and a sound first model for any table of customers with a column of two values, "
        "where acting on a yes costs something and a missed one too."
    ),
    limits=(
        "One quarter of one company, of which nobody knows when it was: there is no time to split "
        "by, and next quarter's customers are not these.",
        "What would lower a chance is what customers who differ in that one thing do. That is "
        "association, not effect: whoever signs for two years wanted to stay before. Only an offer "
        "made at random to some tells what offers do.",
        "What a kept customer is worth, what an offer costs and how often it works are knobs, not "
        "measurements; the profit is as true as they are.",
        "The features were developed on these customers, on other fold seeds: allow some optimism "
        "beside the sampling error.",
        "The stored model holds training data: five rows as examples.",
    ),
)
