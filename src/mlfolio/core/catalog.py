"""The catalog: a table of strings. Looking a system up imports its card; using it, the rest."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from mlfolio.core.card import Card
from mlfolio.core.errors import MissingExtraError, MlfolioError, UnknownNameError
from mlfolio.core.system import System

ENTRY_POINTS = "mlfolio.systems"

# name -> package. The package has `card.py` with `CARD`, light, and `system.py` with the class.
SYSTEMS: dict[str, str] = {
    "iris": "mlfolio.systems.iris:Iris",
    "house-prices": "mlfolio.systems.house_prices:HousePrices",
    "titanic": "mlfolio.systems.titanic:Titanic",
    "movies": "mlfolio.systems.movies:Movies",
    "spam": "mlfolio.systems.spam:Spam",
    "segments": "mlfolio.systems.segments:Segments",
    "digits": "mlfolio.systems.digits:Digits",
    "sentiment": "mlfolio.systems.sentiment:Sentiment",
    "pictures": "mlfolio.systems.pictures:PictureSystem",
    "stocks": "mlfolio.systems.stocks:Stocks",
    "masks": "mlfolio.systems.masks:Masks",
    "chatbot": "mlfolio.systems.chatbot:Chatbot",
    "documents": "mlfolio.systems.documents:Documents",
    "churn": "mlfolio.systems.churn:Churn",
}


def catalog() -> dict[str, str]:
    """All systems by name: ours, then those of installed packages (`mlfolio.systems` entry points).

    A package cannot take the name of one of ours.
    """
    return SYSTEMS | {n: place for n, place in _installed().items() if n not in SYSTEMS}


@cache
def _installed() -> dict[str, str]:
    """The systems of installed packages; looking for them takes milliseconds, so once."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def adopt(name: str, place: str) -> None:
    """Lets `place` ("package:Class") answer to `name` in this process, for ejected systems."""
    SYSTEMS[name] = place


def get_card(name: str) -> Card:
    """The card of a system, without importing what it is made of.

    Raises:
        UnknownNameError: There is no such system.
        MlfolioError: An installed package's card is none.
    """
    package, _ = _locate(name)
    card = import_module(f"{package}.card").CARD
    if not isinstance(card, Card):
        raise MlfolioError(
            f"CARD of {package}.card is no Card but a {type(card).__name__}",
            f"mend or uninstall the package that brings {name!r}",
        )
    return card


def get_system(name: str) -> type[System]:
    """The class of a system.

    Raises:
        UnknownNameError: There is no such system.
        MissingExtraError: It needs an extra that is not installed.
    """
    package, class_name = _locate(name)
    card = get_card(name)
    try:
        module = import_module(f"{package}.system")
    except ModuleNotFoundError as error:
        if card.extra is None or (error.name or "").startswith(package.split(".")[0]):
            raise
        raise MissingExtraError(name, card.extra, error.name or "") from error
    system: type[System] = getattr(module, class_name)
    return system


def _locate(name: str) -> tuple[str, str]:
    systems = catalog()
    if name not in systems:
        raise UnknownNameError("system", name, systems)
    package, _, class_name = systems[name].partition(":")
    return package, class_name
