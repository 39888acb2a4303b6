"""Who documents is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=15,
    slug="documents",
    title="Answers from your own documents",
    summary="A question in, sentences of your files out, each with file, page and heading.",
    kind="documents",
    level="advanced",
    dataset="scifact",
    extra="documents",
    learns=False,
    private=True,
    promises=(
        Promise(metric="nDCG@10", target=0.74),
        Promise(metric="BM25 nDCG@10"),
        Promise(metric="dense nDCG@10"),
        Promise(metric="Cranfield nDCG@10", target=0.57, official=True),
        Promise(metric="SQuAD hit@5", target=0.90, official=True),
        Promise(metric="SQuAD F1", official=True),
    ),
    method=(
        "Files are cut into passages by heading and sentence, and kept in one LanceDB table with "
        "MiniLM vectors and full text. A question takes candidates from both, ranked by a weighted "
        "sum of cosine and BM25. Where there are training questions they choose that weight, and "
        "fine-tune the encoder if that finds more. The answer is the best sentences, "
        "quoted; or, with MLFOLIO_LLM, a text generated from the passages and citing them."
    ),
    intended_use="Finding and quoting what a collection of documents says, with the place.",
    limits=(
        "'Not in your documents' tells questions of another subject (AUROC 0.98 on SQuAD 2.0's "
        "questions with their article taken away) but hardly those that are close to the subject "
        "and yet not answered (AUROC 0.67 on its adversarial ones): read the quote.",
        "The encoder and the stemmer know English; other languages are found by their words alone.",
        "An extractive answer joins no facts: it quotes the sentences that come nearest.",
        "Scanned pages hold no text and are reported, not read.",
        "Deleting a document erases it from the index in use; indexes of earlier runs keep theirs.",
    ),
)
