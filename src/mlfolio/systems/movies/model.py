"""The stored model of movies: the blend, the ratings' model, the films, and who has seen what."""

from __future__ import annotations

import json
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
from .recommenders import Blend, Factors, Floats, ItemWeights
from .titles import Titles

MAX_TITLES = 200
SLIDE = 4.0  # standard deviations of fame that the popularity slider moves films by, end to end
PULLED = 3  # liked films that are told as the reason
SIMILAR = 10
NOTHING = "nothing is left: no film of this genre and these years that was not seen"
COLD = "nothing is known of what you like: these are films that most people have seen"


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
        answer: The titles, best first.
        confidence: The chance that the person, having watched the first, would rate it well (see
            the README); None without ratings.
        recommendations: The same with their facts and reasons.
        similar: Films that the same people have seen as the one in `similar_to`, most alike first.
    """

    answer: list[str]
    recommendations: list[Recommendation]
    similar: list[str]


def _stored(array: Floats) -> Floats:
    """The numbers as they come back from disk, where they take half the room."""
    return array.astype(np.float32).astype(float)


class Known(NamedTuple):
    """What is known of one person: films seen, ratings (NaN where there is none), all numbers."""

    films: dict[int, float]
    disliked: set[int]


class MoviesModel:
    """Recommends films.

    Attributes:
        films: `title`, `year`, `genres`, shape (films, 3).
        blend: What scores them.
        ratings: What predicts ratings; None where there were none.
        seen: Who has seen what, users by films.
        stars: The ratings, users by films; empty where there are none.
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
        seen: Sparse,
        stars: Sparse,
        users: Sequence[str],
        good: float = 0.0,
        usual: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.films = films
        self.blend = Blend(
            ItemWeights(_stored(blend.ease.weights)),
            replace(blend.als, films=_stored(blend.als.films)),
            blend.weight,
        )
        self.ratings = ratings and ratings.changed(_stored)
        self.seen = seen
        self.stars = stars
        self.users = list(users)
        self.good = good
        self.usual = usual
        counts = np.asarray(seen.sum(axis=0)).ravel()
        fame = np.log1p(counts)
        self._fame: Floats = (fame - fame.mean()) / (fame.std() or 1)
        self._counts = counts
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
            by_lower = {name.lower(): name for name in names}

            def check(value: str | None) -> str | None:
                if not value or value.lower() in by_lower:
                    return by_lower[value.lower()] if value else None
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
        told = [self._known(row) for row in inputs]
        people = [known for known, _ in told]
        shape = (len(people), len(self.films))
        liked = [[film for film in known.films if film not in known.disliked] for known in people]
        rows = interactions(
            np.repeat(np.arange(len(people)), [len(films) for films in liked]),
            np.array([film for films in liked for film in films], dtype=np.int64), shape,
        )  # fmt: skip
        scores = np.concatenate(
            [self.blend.score(rows[start : start + 100]) for start in range(0, len(people), 100)]
        )
        vectors = self._vectors(people, shape) if self.ratings else None
        return [
            self._output(
                row, known, warnings, scores[number], np.array(liked[number], dtype=np.int64),
                None if vectors is None else tuple(part[number] for part in vectors),
            )
            for number, (row, (known, warnings)) in enumerate(zip(inputs, told, strict=True))
        ]  # fmt: skip

    def _known(self, row: MoviesInput) -> tuple[Known, list[str]]:
        """What the question and, for a user of the data, the data tell of somebody."""
        known, warnings = Known({}, set()), []
        if row.user is not None:
            number = self._numbers[row.user]
            known.films.update(dict.fromkeys(self.seen[number].indices.tolist(), np.nan))
            stars = self.stars[number]
            known.films.update(zip(stars.indices.tolist(), stars.data.tolist(), strict=True))
        for titles, usual, bad in ((row.liked, self.usual[0], False),
                                   (row.disliked, self.usual[1], True)):  # fmt: skip
            named, given = zip(*map(self._parted, titles), strict=True) if titles else ((), ())
            found, unknown = self._titles.find_all(named)
            warnings += unknown
            for film, stars_given in zip(found, given, strict=True):
                if film is None:
                    continue
                known.films[film] = usual if stars_given is None else stars_given
                low = stars_given is not None and self.good > 0 and stars_given < self.usual[1]
                (known.disliked.add if bad or low else known.disliked.discard)(film)
        if self.ratings is not None:
            for film, value in known.films.items():
                clipped = min(max(value, self.ratings.low), self.ratings.high)
                if clipped != value and value == value:
                    span = f"{self.ratings.low:g} to {self.ratings.high:g}"
                    warnings.append(f"ratings go from {span}; {value:g} is taken as {clipped:g}")
                    known.films[film] = clipped
        return known, warnings

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.users)}

    def _parted(self, text: str) -> tuple[str, float | None]:
        """A title, and the rating behind it, where there is one; some titles hold a "=" too."""
        title, sign, stars = text.rpartition("=")
        if not sign or self._titles.find(text) is not None:
            return text, None
        try:
            value = float(stars)
        except ValueError:
            return text, None
        return (title.strip(), value) if np.isfinite(value) else (text, None)

    def _vectors(self, people: list[Known], shape: tuple[int, int]) -> tuple[Floats, Floats]:
        """Vectors of the ratings' model, from the ratings that are known."""
        assert self.ratings is not None  # noqa: S101 - for the types
        rated = [(number, film, value) for number, known in enumerate(people)
                 for film, value in known.films.items() if value == value]  # fmt: skip
        rows, films, values = zip(*rated, strict=True) if rated else ((), (), ())
        users, seen = (np.array(part, dtype=np.int64) for part in (rows, films))
        return self.ratings.people(interactions(users, seen, shape, np.array(values)))

    def _output(
        self, row: MoviesInput, known: Known, warnings: list[str], scores: Floats,
        liked: Any, vector: Any,
    ) -> MoviesOutput:  # fmt: skip
        """The films that are asked for and not seen, best first."""
        similar: list[str] = []
        if row.similar_to:
            (film,), unknown = self._titles.find_all([row.similar_to])
            warnings = warnings + unknown
            if film is not None:
                similar = self._similar(film)
        if not len(liked):
            scores, warnings = self._fame, [*warnings, COLD]
        scores = scores + SLIDE * (row.popularity - 0.5) * self._fame
        left = self._wanted(row)
        left[list(known.films)] = False
        order = np.argsort(-np.where(left, scores, -np.inf), kind="stable")
        films = order[: min(row.n, int(left.sum()))]
        if not len(films):
            warnings = [*warnings, NOTHING]
        recommendations = self._recommendations(films, scores, liked, vector)
        return MoviesOutput(
            answer=[film.title for film in recommendations],
            confidence=recommendations[0].chance if recommendations else None,
            warnings=warnings, recommendations=recommendations, similar=similar,
        )  # fmt: skip

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
        self, films: Any, scores: Floats, liked: Any, vector: Any
    ) -> list[Recommendation]:
        """The films with their facts, what speaks for them, and how they would be rated."""
        ratings: list[float | None] = [None] * len(films)
        chances = list(ratings)
        if self.ratings is not None and len(films):
            people, wide = (np.repeat(part[None], len(films), axis=0) for part in vector)
            mean, deviation = self.ratings.expected(people, wide, films)
            ratings = mean.round(2).tolist()
            chances = self.ratings.chance(mean, deviation, self.good).tolist()
        pulls = self.blend.pull(liked, films) if len(liked) and len(films) else None
        titles, years = (self.films[column].to_numpy() for column in ("title", "year"))
        found = []
        for place, film in enumerate(films.tolist()):
            because: list[str] = []
            if pulls is not None:
                strongest = np.argsort(-pulls[:, place])[:PULLED]
                because = [titles[liked[s]] for s in strongest if pulls[s, place] > 0]
            year = years[film]
            found.append(
                Recommendation(
                    title=titles[film], score=round(float(scores[film]), 3),
                    year=int(year) if year == year else None,
                    genres=", ".join(sorted(self._genres[film])), rating=ratings[place],
                    chance=chances[place], because="; ".join(because),
                )
            )  # fmt: skip
        return found

    def _similar(self, film: int) -> list[str]:
        near = self.blend.als.alike(film)
        near[film] = -np.inf
        titles = self.films["title"].to_numpy()
        return [titles[other] for other in np.argsort(-near, kind="stable")[:SIMILAR].tolist()]

    def examples(self) -> list[Input]:
        """What some users of the data rated well, as if they were new."""
        found, famous = [], self._counts >= np.quantile(self._counts, 0.75)
        titles = self.films["title"].to_numpy()
        for number in range(0, self.seen.shape[0], max(1, self.seen.shape[0] // 5)):
            row = (self.stars if self.ratings is not None else self.seen)[number]
            films = row.indices[np.argsort(-row.data, kind="stable")]
            films = films[famous[films]][:3]
            if len(films):
                found.append(self.input_type.model_validate({"liked": tuple(titles[films])}))
        return found[:5] or [self.input_type()]

    def save(self, folder: Path) -> None:
        """Writes `films.json` and, without pickle, `arrays.npz`."""
        parts = {"seen": self.seen, "stars": self.stars}
        arrays = {
            f"{name}_{part}": getattr(matrix, part)
            for name, matrix in parts.items() for part in ("data", "indices", "indptr")
        }  # fmt: skip
        arrays |= {"ease": self.blend.ease.weights, "als": self.blend.als.films}
        facts: dict[str, Any] = {
            "films": self.films.astype({"year": object}).where(self.films.notna(), None)
            .to_dict("list"),
            "users": self.users, "good": self.good, "usual": self.usual,
            "blend": {"weight": self.blend.weight, "unseen": self.blend.als.unseen,
                      "ridge": self.blend.als.ridge},
            "ratings": None,
        }  # fmt: skip
        if self.ratings is not None:
            values = vars(self.ratings)
            facts["ratings"] = {k: v for k, v in values.items() if isinstance(v, float)}
            arrays |= {f"ratings_{k}": v for k, v in values.items() if not isinstance(v, float)}
        single = {k: v.astype(np.float32) if v.dtype == np.float64 else v
                  for k, v in arrays.items()}  # fmt: skip
        np.savez_compressed(folder / "arrays.npz", **single)
        write_json(folder / "films.json", facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads a stored model."""
        facts = json.loads((folder / "films.json").read_text("utf-8"))
        with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
            arrays = {k: v.astype(float) if v.dtype == np.float32 else v for k, v in stored.items()}
        films = pd.DataFrame(facts["films"]).astype({"year": float})
        shape = (len(facts["users"]), len(films))
        seen, stars = (
            sp.csr_matrix(tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr")),
                          shape=shape)
            for name in ("seen", "stars")
        )  # fmt: skip
        blend, ratings = facts["blend"], facts["ratings"]
        factors = Factors(arrays["als"], blend["unseen"], blend["ridge"])
        return cls(
            films=films,
            blend=Blend(ItemWeights(arrays["ease"]), factors, blend["weight"]),
            ratings=ratings and Ratings(
                **ratings,
                **{k.removeprefix("ratings_"): v for k, v in arrays.items() if k[:8] == "ratings_"},
            ),
            seen=seen, stars=stars, users=facts["users"], good=facts["good"],
            usual=(facts["usual"][0], facts["usual"][1]),
        )  # fmt: skip
