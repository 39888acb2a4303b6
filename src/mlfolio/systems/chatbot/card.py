"""Who chatbot is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=12,
    slug="chatbot",
    title="Chatbot",
    summary="What somebody writes in; the intent, what is still missing, and the answer.",
    kind="text",
    level="intermediate",
    dataset="intents",
    promises=(
        Promise(metric="in-scope accuracy", target=0.96),
        Promise(metric="out-of-scope AUROC", target=0.97),
        Promise(metric="out-of-scope recall", target=0.85),
        Promise(metric="in scope and not refused"),
        Promise(metric="Banking77 accuracy", target=0.935, official=True),
    ),
    extra="text",
    method=(
        "Logistic regression on the last two layers of a frozen MiniLM sentence encoder, and a "
        "linear SVM on word and character n-grams; their weighted scores are made probabilities by "
        "a temperature. Whether a text is about any intent is told by the energy of the scores and "
        "by a second regression on texts about none; the threshold keeps 95 % of unseen questions "
        "in scope. The dialogue is rules: slots, corrections, negation, confirmation and hand-over "
        "as the desk's YAML file says."
    ),
    intended_use=(
        "Learning; a help desk for a few dozen well-known wishes, with a person to hand over to."
    ),
    limits=(
        "English: the bundled encoder knows little else, and dates, numbers, yes and no are read "
        "in English only.",
        "One wish a message: of two in one, one is answered.",
        "What is out of scope is learned from few examples; what is near an intent and still "
        "outside it is often taken for it.",
        "What users write is personal. A server keeps what it is asked 90 days, for suggestions of "
        "new intents; --forget-inputs chatbot keeps no inputs, and there are no suggestions then. "
        "States of conversations with an id are kept 30 days in any case.",
        "Whoever knows the id of a conversation can go on with it.",
    ),
)
