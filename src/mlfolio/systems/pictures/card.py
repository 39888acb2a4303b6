"""Who pictures is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=9,
    slug="pictures",
    title="Picture classification by transfer",
    summary="A picture in; which of your own classes it shows, or none of them, and where to look.",
    kind="image",
    level="intermediate",
    dataset="cats-vs-dogs",
    extra="deep",
    promises=(
        Promise(metric="accuracy", target=0.92),
        Promise(metric="gain over scratch", target=0.02, official=True),
        Promise(metric="log loss", direction="lower"),
        Promise(metric="CIFAR-10 accuracy", target=0.90, official=True),
    ),
    method=(
        "A net that was trained on other pictures sees; logistic regression on what it sees makes "
        "the first head; then all of it is trained on pictures that are altered anew in every "
        "epoch. A temperature makes its probabilities honest, and what is far from all that it "
        "knows is called none of these."
    ),
    intended_use="Sorting pictures into classes of your own; learning how transfer works.",
    limits=(
        "The net that comes with it has seen CIFAR-10's ten classes in 32x32 pixels and nothing "
        "else: pictures of another kind (X-rays, scans) gain little from it.",
        "One class a picture; where in it is shown, not measured.",
        "What it calls none of these is a guess from distances: strangers that look like a class "
        "pass for it.",
    ),
)
