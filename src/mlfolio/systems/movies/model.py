"""The stored model of movies: the blend, the ratings' model, the films, and who has seen what."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, create_model

from mlfolio.core.errors import nearest
from mlfolio.core.model import Input, Output
from mlfolio.core.run import write_json
from mlfolio.parts.recsys.interactions import Sparse, interactions

from .ratings import Ratings
from .recommenders import Blend, Factors, Floats, ItemWeights, levels
from .titles import Titles

MAX_TITLES = 200
CSR = ("data", "indices", "indptr")  # what a sparse matrix is made of
SLIDE = 4.0  # standard deviations of fame that the popularity slider moves films by, end to end
PULLED = 3  # liked films that are told as the reason
SIMILAR = 10
NOTHING = "nothing is left: no film of this genre and these years that was not seen"
COLD = "nothing is known of what you like: only how many have seen a film counts"


def _titles(value: Any) -> Any:
    """`Fargo (1996); Star Wars`, as it is typed in a shell."""
    return [part.strip() for part in value.split(";") if part.strip()] if isinstance(
        value, str
    ) else value  # fmt: skip


Title = Annotated[str, Field(max_length=200)]
TitleList = Annotated[tuple[Title, ...], BeforeValidator(_titles), Field(max_length=MAX_TITLES)]


class MoviesInput(Input):
    """What somebody liked, and what they are looking for.

    Attributes:
        liked: Titles, also as one text parted by ";", with or without a rating: "Fargo=5".
        disliked: Titles that were seen and not liked; with a rating likewise.
        user: The name of a user of the data, whose films count as well.
        genre: Only films of this genre.
        year_from: Only films from this year on.
        year_to: Only films up to this year.
        popularity: From 0, what few have seen, to 1, what most have seen.
        n: How many recommendations.
        similar_to: A title to tell similar films of.
    """

    liked: TitleList = ()
    disliked: TitleList = ()
    user: str | None = Field(None, max_length=200)
    genre: str | None = Field(None, max_length=200)
    year_from: int | None = Field(None, ge=1800, le=2200)
    year_to: int | None = Field(None, ge=1800, le=2200)
    popularity: float = Field(0.5, ge=0, le=1)
    n: int = Field(10, ge=1, le=100)
    similar_to: str | None = Field(None, max_length=200)


class Recommendation(BaseModel):
    """A film to watch.

    Attributes:
        title: Its title.
        score: In standard deviations of the films that are left, higher is better.
        year: When it came out; None if that is not known.
        genres: Parted by ", ".
        rating: What the person would give it; None without ratings.
        chance: That they would give it a good one; None without ratings.
        because: The films they have seen that speak for it most, parted by "; ".
    """

    title: str
    score: float
    year: int | None
    genres: str
    rating: float | None
    chance: float | None
    because: str


class MoviesOutput(Output):
    """Films to watch.

    Attributes:
        answer: The title of the first; empty if there is nothing to recommend.
        confidence: The chance that the person, having watched the first, would rate it well (see
            the README); None without ratings.
        recommendations: All of them, best first, with their facts and reasons.
        similar: Films that the same people have seen as the one in `similar_to`, most alike first.
    """

    answer: str
    recommendations: list[Recommendation]
    similar: list[str]


def _stored(array: Floats) -> Floats:
    """The numbers as they come back from disk, where they take half the room."""
    return array.astype(np.float32).astype(float)


class Known(NamedTuple):
    """What is known of one person: rating of each film seen (NaN: none), and those disliked."""

    films: dict[int, float]
    disliked: set[int]


class MoviesModel:
    """Recommends films.

    Attributes:
        films: `title`, `year`, `genres`, shape (films, 3).
        blend: What scores them.
        ratings: What predicts ratings; None where there were none.
        watched: The ratings, NaN where there is none, of what was seen; users by films.
        users: The users' names.
        good: The least rating that counts as a good one; 0 without ratings.
        usual: Ratings that stand for "liked" and for "disliked" where none is given.
    """

    output_type: ClassVar[type[Output]] = MoviesOutput

    def __init__(
        self,
        films: pd.DataFrame,
        blend: Blend,
        ratings: Ratings | None,
        watched: Sparse,
        users: Sequence[str],
        good: float = 0.0,
        usual: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.films = films
        self.blend = replace(blend, members=tuple(each.changed(_stored) for each in blend.members))
        self.ratings = ratings and ratings.changed(_stored)
        self.watched = watched
        self.users = list(users)
        self.good = good
        self.usual = usual
        counts = np.bincount(watched.indices, minlength=len(films))
        fame = np.log1p(counts)
        self._fame: Floats = (fame - fame.mean()) / (fame.std() or 1)
        self._famous = counts >= np.quantile(counts, 0.75)
        self._titles = Titles(list(films["title"]), counts.tolist())
        self._genres = [set(text.split("|")) - {""} for text in films["genres"]]

    @cached_property
    def genres(self) -> list[str]:
        """All genres there are."""
        return sorted(set().union(*self._genres))

    @cached_property
    def input_type(self) -> type[Input]:
        """What somebody liked; genre and user must be ones that there are."""

        def among(what: str, names: Sequence[str]) -> Any:
            folded = Counter(name.lower() for name in names)
            by_name = {name.lower(): name for name in names if folded[name.lower()] == 1}
            by_name |= {name: name for name in names}

            def check(value: str | None) -> str | None:
                if not value:
                    return None
                if found := by_name.get(value) or by_name.get(value.lower()):
                    return found
                near = nearest(value, names) if len(names) < 10_000 else None
                hint = f"; did you mean {near!r}?" if near else ""
                some = f" ({what}s: {', '.join(names)})" if len(names) < 50 else ""
                raise ValueError(f"there is no {what} of this name{hint}{some}")

            return (Annotated[str | None, Field(max_length=200), AfterValidator(check)], None)

        limited: Any = {"user": among("user", self.users), "genre": among("genre", self.genres)}
        return create_model("MoviesInput", __base__=MoviesInput, **limited)

    def predict(self, inputs: Sequence[Any]) -> list[MoviesOutput]:
        """Recommendations for each person."""
        if not inputs:
            return []
        people, warnings = zip(*map(self._known, inputs), strict=True)
        liked = self._rows(
            [{f: v for f, v in known.films.items() if f not in known.disliked} for known in people]
        )
        liked.data = levels(liked.data, self.good)
        blocks = range(0, len(people), 100)
        scores = np.concatenate([self.blend.score(liked[at : at + 100]) for at in blocks])
        vectors: Sequence[Any] = [None] * len(people)
        if self.ratings is not None:
            rated = [{f: v for f, v in known.films.items() if v == v} for known in people]
            vectors = list(zip(*self.ratings.people(self._rows(rated)), strict=True))
        each = zip(inputs, people, warnings, scores, liked, vectors, strict=True)
        return [self._output(*parts) for parts in each]

    def _rows(self, people: Sequence[dict[int, float]]) -> Sparse:
        """People by films."""
        users = np.repeat(np.arange(len(people)), [len(films) for films in people])
        films = np.array([film for each in people for film in each], dtype=np.int64)
        values = [value for each in people for value in each.values()]
        return interactions(users, films, (len(people), len(self.films)), np.array(values))

    def _known(self, row: MoviesInput) -> tuple[Known, list[str]]:
        """What the question and, for a user of the data, the data tell of somebody."""
        known = Known({}, set())
        if row.user is not None:
            mine = self.watched[self._numbers[row.user]]
            known.films.update(zip(mine.indices.tolist(), mine.data.tolist(), strict=True))
        warnings: list[str] = []
        for titles, usual in ((row.liked, self.usual[0]), (row.disliked, self.usual[1])):
            told = [self._parted(title) for title in titles]
            films, unknown = self._titles.find_all([title for title, _ in told])
            warnings += unknown
            for film, (_, stars) in zip(films, told, strict=True):
                if film is None:
                    continue
                value = usual if stars is None else stars
                if self.ratings and not self.ratings.low <= value <= self.ratings.high:
                    span = f"{self.ratings.low:g} to {self.ratings.high:g}"
                    warnings.append(f"ratings go from {span}; {value:g} is taken as the nearest")
                    value = min(max(value, self.ratings.low), self.ratings.high)
                known.films[film] = value if self.ratings else np.nan
                low = titles is row.disliked or value < self.good
                (known.disliked.add if low else known.disliked.discard)(film)
        return known, warnings

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.users)}

    def _parted(self, text: str) -> tuple[str, float | None]:
        """A title, and the rating behind it, where there is one; some titles hold a "=" too."""
        title, sign, stars = text.rpartition("=")
        if not sign or (self._titles.find(title) is None and self._titles.find(text) is not None):
            return text, None
        try:
            value = float(stars)
        except ValueError:
            return text, None
        return (title.strip(), value) if np.isfinite(value) else (text, None)

    def _output(
        self, row: MoviesInput, known: Known, warnings: list[str], scores: Floats, liked: Sparse,
        vector: Any,
    ) -> MoviesOutput:  # fmt: skip
        """The films that are asked for and not seen, best first."""
        similar: list[str] = []
        if row.similar_to:
            (film,), unknown = self._titles.find_all([row.similar_to])
            warnings = [*warnings, *unknown]
            similar = [] if film is None else self._similar(film)
        if not liked.nnz:
            scores, warnings = self._fame, [*warnings, COLD]
        scores = scores + SLIDE * (row.popularity - 0.5) * self._fame
        left = self._wanted(row)
        left[list(known.films)] = False
        order = np.argsort(-np.where(left, scores, -np.inf), kind="stable")
        films = order[: min(row.n, int(left.sum()))]
        found = self._recommendations(films, scores, liked, vector) if len(films) else []
        return MoviesOutput(
            answer=found[0].title if found else "",
            confidence=found[0].chance if found else None,
            warnings=warnings if found else [*warnings, NOTHING],
            recommendations=found,
            similar=similar,
        )

    def _wanted(self, row: MoviesInput) -> Any:
        """Which films are of the genre and the years that are asked for, shape (films,)."""
        wanted, years = np.ones(len(self.films), dtype=bool), self.films["year"].to_numpy()
        if row.genre:
            wanted &= np.array([row.genre in genres for genres in self._genres])
        if row.year_from is not None:
            wanted &= years >= row.year_from
        if row.year_to is not None:
            wanted &= years <= row.year_to
        return wanted

    def _recommendations(
        self, films: Any, scores: Floats, liked: Sparse, vector: Any
    ) -> list[Recommendation]:
        """The films with their facts, what speaks for them, and how they would be rated."""
        ratings: list[Any] = [None] * len(films)
        chances = list(ratings)
        if self.ratings is not None:
            people, wide = (np.repeat(part[None], len(films), axis=0) for part in vector)
            mean, deviation = self.ratings.expected(people, wide, films)
            ratings = mean.round(2).tolist()
            chances = self.ratings.chance(mean, deviation, self.good).round(6).tolist()
        titles, years = (self.films[column].to_numpy() for column in ("title", "year"))
        pulls = self.blend.pull(liked, films)
        strongest = np.argsort(-pulls, axis=0)[:PULLED]
        return [
            Recommendation(
                title=titles[film],
                score=round(float(scores[film]), 3),
                year=int(years[film]) if years[film] == years[film] else None,
                genres=", ".join(sorted(self._genres[film])),
                rating=ratings[place],
                chance=chances[place],
                because="; ".join(
                    titles[liked.indices[one]]
                    for one in strongest[:, place]
                    if pulls[one, place] > 0
                ),
            )
            for place, film in enumerate(films.tolist())
        ]

    def _similar(self, film: int) -> list[str]:
        near = self.blend.alike(film)
        near[film] = -np.inf
        titles = self.films["title"].to_numpy()
        return [titles[other] for other in np.argsort(-near, kind="stable")[:SIMILAR].tolist()]

    def examples(self) -> list[Input]:
        """What some users of the data rated well, as if they were new."""
        found, titles = [], self.films["title"].to_numpy()
        for number in range(0, len(self.users), max(1, len(self.users) // 5)):
            mine = self.watched[number]
            films = mine.indices[np.argsort(-mine.data, kind="stable")]
            if len(liked := titles[films[self._famous[films]][:3]]):
                found.append(self.input_type.model_validate({"liked": tuple(liked)}))
        return found[:5] or [self.input_type()]

    def save(self, folder: Path) -> None:
        """Writes `films.json` and, without pickle, `arrays.npz`."""
        arrays = {f"watched_{part}": getattr(self.watched, part) for part in CSR}
        for number, member in enumerate(self.blend.members):
            arrays[f"{type(member).__name__}_{number}"] = member.array
        learned = self.ratings.parts() if self.ratings else {}
        arrays |= {f"ratings_{k}": v for k, v in learned.items() if isinstance(v, np.ndarray)}
        np.savez_compressed(
            folder / "arrays.npz",
            # Ratings stay as they are: whether one is a good one hangs on its last bit.
            **{
                name: array.astype(np.float32)
                if array.dtype == float and name != "watched_data"
                else array
                for name, array in arrays.items()
            },
        )
        facts = {
            "films": self.films.to_dict("list"),
            "users": self.users,
            "good": self.good,
            "usual": self.usual,
            "weights": self.blend.weights,
            "ratings": {k: v for k, v in learned.items() if isinstance(v, float)},
        }
        write_json(folder / "films.json", facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads a stored model."""
        facts = json.loads((folder / "films.json").read_text("utf-8"))
        with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
            arrays = {k: v.astype(float) if v.dtype == np.float32 else v for k, v in stored.items()}
        kinds = {kind.__name__: kind for kind in (ItemWeights, Factors)}
        named = [name.split("_", 1) for name in arrays]
        members = [
            kinds[kind](arrays[f"{kind}_{number}"]) for kind, number in named if kind in kinds
        ]
        learned = {name: arrays[f"ratings_{name}"] for kind, name in named if kind == "ratings"}
        shape = (len(facts["users"]), len(facts["films"]["title"]))
        return cls(
            films=pd.DataFrame(facts["films"]).astype({"year": float}),
            blend=Blend(tuple(members), tuple(facts["weights"])),
            ratings=Ratings(**facts["ratings"], **learned) if learned else None,
            watched=sp.csr_matrix(tuple(arrays[f"watched_{part}"] for part in CSR), shape=shape),
            users=facts["users"],
            good=facts["good"],
            usual=(facts["usual"][0], facts["usual"][1]),
        )
