"""Who segments is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=6,
    slug="segments",
    title="Customer segmentation",
    summary="A table of customers or purchases in, segments in words and everybody's segment out.",
    kind="table",
    level="beginner",
    dataset="mall-customers",
    promises=(
        Promise(metric="silhouette", target=0.55),
        Promise(metric="silhouette of new customers"),
        Promise(metric="stability", target=0.8),
        Promise(metric="false alarms", direction="lower"),
        Promise(metric="Brier score", direction="lower"),
    ),
)
