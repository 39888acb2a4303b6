"""Who masks is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=11,
    slug="masks",
    title="Face masks",
    summary="A picture, a film or a camera in; every face that is found, and whether it wears a "
    "mask.",
    kind="image",
    task="object-detection",
    level="intermediate",
    dataset="face-mask",
    extra="deep",
    private=True,
    promises=(
        Promise(metric="accuracy", target=0.97),
        Promise(metric="log loss", direction="lower"),
        Promise(metric="covered faces not called masked"),
        Promise(metric="scene precision", official=True),
        Promise(metric="scene recall", official=True),
    ),
    method=(
        "OpenCV's Haar cascade looks for faces, or a detector from a file does. A small net that "
        "has seen other pictures before tells masks from bare mouths; it has learned to be in "
        "doubt about mouths behind hands, and to know what is no face at all."
    ),
    intended_use="Counting masks in pictures, blurring faces, learning how detection is measured.",
    limits=(
        "The Haar cascade overlooked six of ten faces in photos of groups: those that are small, "
        "turned away or masked. Blurring leaves overlooked faces as they are.",
        "No decision about a person may rest on it: it is wrong more often for people who are "
        "rare in its pictures, which come from a web search.",
        "Masks worn below the nose were never learned.",
    ),
)
