"""Who sentiment is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=8,
    slug="sentiment",
    title="Sentiment of reviews",
    summary="A review in; positive, negative or mixed, how sure, and the words that decided.",
    kind="text",
    level="intermediate",
    dataset="imdb",
    extra="deep",
    promises=(
        Promise(metric="accuracy", target=0.89),
        Promise(metric="log loss", direction="lower"),
        Promise(metric="share that is sure"),
    ),
    method=(
        "A bidirectional LSTM over word embeddings that are learned from nothing reads a review in "
        "chunks; the mean and the maximum of all its words' states decide. A temperature makes its "
        "probabilities honest, and what is not likely enough is called mixed. A pretrained "
        "transformer can read instead. NB-SVM, a linear "
        "model on words and pairs of words, stands beside it."
    ),
    intended_use="Learning; sorting reviews, with a person to look at what is mixed.",
    limits=(
        "Official data are English reviews of films of the early 2000s, and none of them is "
        "lukewarm (four stars at most, or seven at least): other texts need examples of your own.",
        "Irony, and praise of something else than the film, are read as they stand.",
        "The stored model holds the words that five training reviews or more have.",
    ),
)
