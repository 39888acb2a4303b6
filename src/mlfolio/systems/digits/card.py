"""Who digits is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=7,
    slug="digits",
    title="Handwritten digit recognition",
    summary="A picture of one handwritten digit in, the digit and how sure that is out.",
    kind="image",
    level="intermediate",
    dataset="mnist",
    extra="deep",
    promises=(
        Promise(metric="accuracy", target=0.996),
        Promise(metric="dense accuracy", target=0.97),
    ),
    method=(
        "A convolutional net of about 100,000 weights, trained on pictures that are turned, "
        "shifted, zoomed and slanted anew in every epoch; one temperature calibrates its "
        "confidence. A dense net and logistic regression are measured beside it."
    ),
    intended_use="One digit per picture: form fields, drawing pads, learning how a net is made.",
    limits=(
        "It always answers with a digit: a letter or a doodle gets one too, sometimes confidently.",
        "MNIST's writers were American; a 1 with a long upstroke or a crossed 7 is rarer there.",
        "The confidence is calibrated on MNIST; on photographs it says less, so read the warnings.",
        "One digit at a time: it warns of several marks and does not cut numbers apart.",
    ),
)
