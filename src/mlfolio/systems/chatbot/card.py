"""Who chatbot is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=12,
    slug="chatbot",
    title="Chatbot",
    summary="What somebody writes in; the intent, what is missing, and the answer.",
    kind="text",
    task="text-classification",
    level="intermediate",
    dataset="intents",
    promises=(
        Promise(metric="in-scope accuracy", target=0.96),
        Promise(metric="out-of-scope AUROC", target=0.97),
        Promise(metric="out-of-scope recall", target=0.85),
    ),
    extra="text",
)
