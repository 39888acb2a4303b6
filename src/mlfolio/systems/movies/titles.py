"""From what people type to films: "the godfather" is "Godfather, The (1972)"."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches

ARTICLES = r"(?:the|a|an|le|la|les|il|der|die|das|el|los|las)"
LEADING = re.compile(rf"^(?:{ARTICLES}\s+|l'\s*)|,\s*(?:{ARTICLES}|l')\s*$")
YEAR = re.compile(r"\((\d{4})\)\s*$")
MAX_HINTS = 5  # titles of one question that the nearest is looked for: it takes milliseconds each


class Titles:
    """The films by every way of writing their titles.

    Args:
        titles: As the data have them.
        seen: How many have seen each: of films of one name the one that most have seen is meant.
    """

    def __init__(self, titles: Sequence[str], seen: Sequence[float]) -> None:
        self._titles = titles
        self._films: dict[str, int] = {}
        order = sorted(range(len(titles)), key=lambda film: -seen[film])
        forms = [spellings(titles[film]) for film in order]
        # Exact forms of all films first: no film's alias takes the title of another.
        for exactness in range(4):
            for film, each in zip(order, forms, strict=True):
                for spelling in each[exactness]:
                    self._films.setdefault(spelling, film)

    def find(self, title: str) -> int | None:
        """The film's number; None if there is no such film."""
        found = (self._films.get(form) for forms in spellings(title) for form in forms)
        year = YEAR.search(title)
        for film in found:
            if film is None:
                continue
            other = YEAR.search(self._titles[film])
            if year is None or other is None or year[1] == other[1]:
                return film
        return None

    def nearest(self, title: str) -> str | None:
        """The title that is most like this one, if any is."""
        near = get_close_matches(plain(title), self._films, n=1, cutoff=0.6)
        return self._titles[self._films[near[0]]] if near else None

    def find_all(self, titles: Sequence[str]) -> tuple[list[int | None], list[str]]:
        """The numbers of films, and a warning for each that there is not."""
        films = [self.find(title) for title in titles]
        unknown = [title for title, film in zip(titles, films, strict=True) if film is None]
        warnings = [f"there is no film {title!r}" for title in unknown]
        for number, title in enumerate(unknown[:MAX_HINTS]):
            if near := self.nearest(title):
                warnings[number] += f"; did you mean {near!r}?"
        return films, warnings


def spellings(title: str) -> list[list[str]]:
    """The plain forms of a title and of its aliases, with the year and without; exact ones first.

    "Shanghai Triad (Yao a yao) (1995)" is also "yao a yao" and "shanghai triad".
    """
    year = YEAR.search(title)
    name = title[: year.start()] if year else title
    forms = [[plain(name)], [plain(part) for part in re.split(r"[()]", name) if part.strip()]]
    dated = [[f"{form} {year[1]}" for form in each] if year else [] for each in forms]
    return [*dated, *forms]


def plain(name: str) -> str:
    """Lower case, without accents, marks and a leading or trailing article."""
    folded = unicodedata.normalize("NFKD", name).casefold().replace("’", "'").strip()
    folded = "".join(c for c in folded if not unicodedata.combining(c)).replace("&", " and ")
    folded = LEADING.sub("", folded)
    return " ".join(re.sub(r"[^\w\s]", " ", folded).split()) or name.casefold().strip()
