"""Who spam is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=5,
    slug="spam",
    title="Spam filter",
    summary="A message or a whole mailbox in; spam or ham, how sure, and the words that decided.",
    kind="text",
    level="beginner",
    dataset="sms-spam",
    promises=(
        Promise(metric="F1 of spam", target=0.965),
        Promise(metric="precision", target=0.99),
        Promise(metric="recall"),
        Promise(metric="accuracy", target=0.95),
        Promise(metric="average precision"),
        Promise(metric="false alarms per 1000 ham", direction="lower"),
        Promise(metric="Brier score", direction="lower"),
    ),
    private=True,
    method="",
    intended_use="",
    limits=("",),
)
