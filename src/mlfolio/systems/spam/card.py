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
    method=(
        "Word and character n-grams by TF-IDF and eight signs of form. Naive Bayes, logistic "
        "regression, SVMs and a blend compete in an inner cross-validation; the winner's "
        "out-of-fold scores are calibrated by a sigmoid and give the threshold, the one with the "
        "best F1 among those whose precision is 0.99 with some confidence. Near-duplicates stay in "
        "one fold. What users said of earlier answers is learned from. The claim is nested "
        "cross-validation."
    ),
    intended_use=(
        "Learning; sorting one's own messages or mails, with a person to look into the spam folder."
    ),
    limits=(
        "Official data are English SMS of about 2004 to 2011, from Britain and Singapore: mails, "
        "other languages and today's campaigns need messages of your own.",
        "It reads what is written. Links, senders, pictures and attachments are not followed, and "
        "whoever knows the filter can write around it (the README has a table of disguises).",
        "Whoever may send feedback may teach it: give keys to people you trust, or feedback=false.",
        "The stored model holds words and pieces of words that occur in two messages or more.",
    ),
)
