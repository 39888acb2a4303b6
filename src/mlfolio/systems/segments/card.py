"""Who segments is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=6,
    slug="segments",
    title="Customer segmentation",
    summary="A table of customers or purchases in, segments in words and everybody's segment out.",
    kind="table",
    task="other",
    level="beginner",
    dataset="mall-customers",
    promises=(
        Promise(metric="silhouette", target=0.55),
        Promise(metric="silhouette of new customers"),
        Promise(metric="stability", target=0.8),
        Promise(metric="false alarms", direction="lower"),
    ),
    method=(
        "K-means on standardised columns, skewed ones as logarithms. The gap statistic says "
        "whether there are groups; silhouette, Calinski-Harabasz index and gap vote on their "
        "number. Bootstrap samples say how stable the segments are, and how sure each customer's "
        "is; customers held out say how far from its centre an ordinary one may be. Words are "
        "made by rule from medians. Of purchases, recency, frequency and money are segmented."
    ),
    intended_use=(
        "Learning; a first, honest look at one's own customers, before somebody spends money on "
        "segments that may not exist."
    ),
    limits=(
        "There is no true answer: a silhouette says that segments are compact, not that they are "
        "the right ones or of any use.",
        "K-means finds round groups of like size. Long, nested or ring-shaped ones it cuts up.",
        "Confidence is how surely customers like these would give the same segment again, not "
        "whether the segment is true.",
        "Suggestions come from a short list of rules about words in column names. They are ideas "
        "to test; nothing in such data says what a customer would do.",
        "The stored model holds five customers as examples, and the run's folder everybody's "
        "segment; its page draws at most a thousand of them (points.csv).",
    ),
)
