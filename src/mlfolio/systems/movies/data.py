"""Ratings of films: MovieLens 100K, the user's own table, or made-up tastes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.errors import FileError, KnobError, UnknownNameError
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.fingerprint import fingerprint
from mlfolio.data.labelled import read_numbers
from mlfolio.data.tables import read_table
from mlfolio.parts.recsys.interactions import Sparse, interactions

FEWEST = 20  # users, and films
ASKED = 3  # films of a user of which one is held out
GREATEST = 1_000_000  # rating
MANY = 5000  # films: EASE inverts a matrix of films by films
GENRES = 100  # a column of more is no column of genres: the rarer ones tell nothing
USUAL = {
    "user": ("user", "userid", "user_id", "customer", "customerid", "customer_id", "reviewerid"),
    "item": ("item", "itemid", "item_id", "movie", "movieid", "movie_id", "film", "filmid",
             "film_id", "product", "productid", "product_id", "asin", "title"),
    "rating": ("rating", "stars", "score", "overall"),
    "time": ("time", "timestamp", "date", "datetime"),
    "title": ("title", "name", "movie_title", "film_title"),
    "genres": ("genres", "genre", "category", "categories"),
    "year": ("year", "release_year"),
}  # fmt: skip


FIRST = (
    "Silent", "Crimson", "Hollow", "Distant", "Paper", "Winter", "Salt", "Amber", "Broken",
    "Electric", "Last", "Velvet",
)  # fmt: skip
LAST = (
    "Harbour", "Orchard", "Signal", "Lantern", "River", "Parade", "Citadel", "Mirror", "Compass",
    "Garden", "Engine", "Letter",
)  # fmt: skip


class Names(NamedTuple):
    """Columns of the user's table, where their names are not the usual ones; empty for those."""

    user: str = ""
    item: str = ""
    rating: str = ""
    time: str = ""


@dataclass(frozen=True)
class Watched:
    """Who watched what. Nothing is held out here: every protocol makes its own splits.

    Attributes:
        source: Where it came from.
        dataset: Name of the data set, or of the user's file.
        licence: As its publisher states it.
        table: One row a user and film, each pair once: `user` and `film` (numbers from 0), `rating`
            and `time` (NaN where not known).
        users: The users' names, as they are asked for.
        films: The films: `title`, `year` (NaN where not known), `genres` (parted by "|").
        u1: For MovieLens, which rows are in its file u1.test.
        notes: What was left out.
    """

    source: Source
    dataset: str
    licence: str
    table: pd.DataFrame
    users: tuple[str, ...]
    films: pd.DataFrame
    u1: NDArray[np.bool_] | None = None
    notes: tuple[Finding, ...] = ()

    @property
    def rated(self) -> bool:
        """Whether there are ratings, and not all the same."""
        return bool(self.table["rating"].min() < self.table["rating"].max())

    @cached_property
    def good(self) -> float:
        """The least rating that counts as a good one, the upper median; 0 without ratings."""
        return float(self.table["rating"].quantile(interpolation="higher")) if self.rated else 0.0

    def matrix(self, rows: pd.DataFrame | None = None) -> Sparse:
        """Users by films, with the rating of what was seen, NaN where there is none.

        Args:
            rows: Of the table; None for all.
        """
        taken = self.table if rows is None else rows
        shape = (len(self.users), len(self.films))
        return interactions(taken["user"], taken["film"], shape, taken["rating"])

    @cached_property
    def facts(self) -> NDArray[np.float64]:
        """What is publicly known of each film: genres, and the year in decades, also squared."""
        genres = self.films["genres"].str.get_dummies("|").to_numpy(dtype=float)
        years = self.films["year"]
        middle = years.median() if years.notna().any() else 0.0
        decades = ((years.fillna(middle) - middle) / 10).clip(-10, 10)
        return np.column_stack([np.ones(len(decades)), genres, decades, decades**2])

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data; every score comes from splits of all of them."""
        everything = fingerprint(self.table, self.films, "\n".join(self.users))
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=everything,
            test_fingerprint=everything,
            rows={"ratings": len(self.table), "users": len(self.users), "films": len(self.films)},
        )

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        return list(self.notes)

    def without_test(self) -> Self:
        """The same: no part is kept from the fit, and every protocol fits anew on its own part."""
        return self


def load_watched(source: Source, names: Names, most: int) -> Watched:
    """Who watched what.

    Args:
        source: MovieLens, the generated sample, or the user's table: a file, or a folder with
            `ratings.csv` and perhaps `movies.csv`, as newer MovieLens sets have them.
        names: Columns of the user's table.
        most: Films that are kept, those that most have seen.

    Raises:
        DataUnavailableError: MovieLens is not here.
        UserError: The table cannot be used, or a knob names a column that is not there.
    """
    if source.kind != "own" and any(names):
        raise KnobError("user, item, rating and time name columns of your own table",
                        "name it beside them: --data FILE")  # fmt: skip
    if source.kind == "sample":
        rows, films = generate()
        return _watched(rows, films, source, "generated tastes", "Apache-2.0", most)
    if source.path is None:
        record = get_dataset("movielens-100k")
        rows, films = _movielens(place(record.name) / record.files[0].name)
        return _watched(rows, films, source, record.title, record.licence, most)
    path = source.path
    ratings = path / "ratings.csv" if (path / "ratings.csv").is_file() else path
    rows, films, notes = _own(read_table(ratings), names, ratings.name)
    beside = path / "movies.csv"
    if path.is_dir() and beside.is_file():
        films = _films(read_table(beside), "", beside.name)
    return _watched(rows, films, source, path.name, "the user's own", most, notes)


def _watched(
    rows: pd.DataFrame,
    films: pd.DataFrame,
    source: Source,
    name: str,
    licence: str,
    most: int,
    notes: Sequence[Finding] = (),
) -> Watched:
    """Numbers for users and films; each pair once, the last of those that are there twice."""
    once = rows.sort_values("time", kind="stable", na_position="first")
    once = once.drop_duplicates(["user", "film"], keep="last").sort_index()
    said = []
    if again := len(rows) - len(once):
        said.append(f"rows of a user and film that come again: {again:,}; the last of each counts")
    counts = once["film"].value_counts()
    if len(counts) > most:
        once = once[once["film"].isin(counts.index[:most])]
        said.append(f"of {len(counts):,} films the {most:,} that most have seen are kept; "
                    "max_films= says how many")  # fmt: skip
    users, titles = (sorted(once[column].unique(), key=_natural) for column in ("user", "film"))
    asked = int((once["user"].value_counts() >= ASKED).sum())
    if min(len(users), len(titles)) >= FEWEST > asked:
        raise FileError(
            f"{name} has {asked} users with {ASKED} films or more; movies needs {FEWEST} of them",
            "bring more rows of each user: a quarter of them is held out to measure",
        )
    if len(users) < FEWEST or len(titles) < FEWEST:
        raise FileError(
            f"{name} has {len(users)} users and {len(titles)} films; movies needs {FEWEST} of each",
            "bring more rows, one for each user and film: user,item[,rating,time]",
        )
    numbered = once.assign(
        user=pd.Categorical(once["user"], users).codes.astype(np.int64),
        film=pd.Categorical(once["film"], titles).codes.astype(np.int64),
    ).sort_values(["user", "film"], ignore_index=True)
    known = films.reindex(titles)
    known["title"] = known["title"].fillna(pd.Series(titles, titles)).astype(str)
    known["genres"] = known["genres"].fillna("").astype(str)
    genres = known["genres"].str.split("|").explode()
    if genres.nunique() > GENRES:
        kept = set(genres[genres != ""].value_counts().index[:GENRES])
        known["genres"] = [
            "|".join(genre for genre in each.split("|") if genre in kept)
            for each in known["genres"]
        ]
        said.append(f"of {genres.nunique():,} genres the {GENRES} that most films have are kept")
    u1 = numbered.pop("u1").to_numpy(dtype=bool) if "u1" in numbered else None
    return Watched(
        source=source, dataset=name, licence=licence, table=numbered, users=tuple(users),
        films=known.reset_index(drop=True), u1=u1, notes=(*notes, *map(_note, said)),
    )  # fmt: skip


def _movielens(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The ratings, with which are in u1.test, and the films of the published archive."""
    names = ["user", "film", "rating", "time"]
    with zipfile.ZipFile(path) as archive:

        def read(name: str, **options: Any) -> pd.DataFrame:
            found: pd.DataFrame = pd.read_csv(
                io.BytesIO(archive.read(f"ml-100k/{name}")), header=None, **options
            )
            return found

        parts = [read(f"u1.{part}", sep="\t", names=names).assign(u1=part == "test")
                 for part in ("base", "test")]  # fmt: skip
        items = read("u.item", sep="|", encoding="latin-1")
        genres = read("u.genre", sep="|", names=["genre", "number"])["genre"]
    flags = items.iloc[:, 5:].to_numpy(dtype=bool)
    films = pd.DataFrame({"film": items[0].astype(str), "title": items[1].str.strip()})
    films["genres"] = ["|".join(genres[row][genres[row] != "unknown"]) for row in flags]
    films["year"] = _year(films["title"])
    rows = pd.concat(parts, ignore_index=True)
    return rows.astype({"user": str, "film": str, "rating": float, "time": float}), films.set_index(
        "film"
    )


def _own(
    table: pd.DataFrame, names: Names, name: str
) -> tuple[pd.DataFrame, pd.DataFrame, list[Finding]]:
    """The rows of the user's table, what it says of films, and what was left out.

    Raises:
        FileError: There is no column of users or of items, or ratings are no numbers.
        UnknownNameError: A knob names a column that is not there.
    """
    found = {what: _column(table, what, getattr(names, what), name) for what in Names._fields}
    user, item, rating, time = (found[what] for what in Names._fields)
    notes: list[Finding] = []
    rows = pd.DataFrame({"user": table[user], "film": table[item]})
    rows["rating"] = np.nan
    if rating is not None:
        notes += read_numbers(table, [rating], name)
        if not pd.api.types.is_numeric_dtype(table[rating]):
            raise FileError(
                f"{name}: ratings in column {rating!r} are no numbers, like "
                f"{str(table[rating].dropna().iloc[0])[:40]!r}",
                "write numbers, or leave the column out: who watched what is enough",
            )
        rows["rating"] = table[rating].astype(float)
        if rows["rating"].abs().max() > GREATEST:
            raise FileError(
                f"{name}: column {rating!r} has ratings beyond {GREATEST:,}",
                "name the column of ratings: rating=COLUMN",
            )
    rows["time"] = np.nan if time is None else _seconds(table[time])
    whole = rows["user"].notna() & rows["film"].notna()
    if rating is not None:
        whole &= rows["rating"].notna()
    if not whole.all():
        notes.append(
            _note(f"rows without user, item or rating: {(~whole).sum():,} of {len(rows):,}")
        )
    rows = rows[whole].assign(user=_names(rows["user"][whole]), film=_names(rows["film"][whole]))
    return rows, _films(table[whole], str(item), name), notes


def _column(table: pd.DataFrame, what: str, named: str, name: str) -> str | None:
    """The column that holds something; None for ratings and times, which need not be there."""
    columns = [str(column) for column in table]
    if named:
        if named not in columns:
            raise UnknownNameError("column", named, columns)
        return named
    lower = {column.lower().replace(" ", "_"): column for column in reversed(columns)}
    usual = next((lower[each] for each in USUAL[what] if each in lower), None)
    if usual is None and what in ("user", "item"):
        raise FileError(
            f"{name} has no column that looks like the {what}: {', '.join(columns)[:300]}",
            f"name it: {what}=COLUMN",
        )
    return usual


def _films(table: pd.DataFrame, item: str, name: str) -> pd.DataFrame:
    """Title, year and genres of each film, from a table that has them or not."""
    item = item or str(_column(table, "item", "", name))
    title, genres, year = (_column(table, what, "", name) for what in ("title", "genres", "year"))
    table = table.dropna(subset=[item])
    films = pd.DataFrame({"film": _names(table[item])})
    titles = films["film"] if title is None else _names(table[title].fillna(films["film"]))
    films["title"] = titles.str.strip().str[:200]
    films["genres"] = (
        table[genres].fillna("").astype(str).str.replace(r"\s*[|,;]\s*", "|", regex=True)
        .str.replace("(no genres listed)", "", regex=False) if genres else ""
    )  # fmt: skip
    films["year"] = _year(films["title"])
    if year:
        years = pd.to_numeric(table[year], errors="coerce")
        films["year"] = years.where(years.between(1800, 2200)).fillna(films["year"])
    return films.drop_duplicates("film").set_index("film")


def _names(values: pd.Series) -> pd.Series:
    """Names as texts; 42, which is 42.0 where a cell of its column is empty, as "42"."""
    return values.convert_dtypes().astype(str)


def _year(titles: pd.Series) -> pd.Series:
    """The year at the end of a title, "Fargo (1996)"."""
    return titles.str.extract(r"\((\d{4})\)\s*$")[0].astype(float)


def _seconds(values: pd.Series) -> pd.Series:
    """Times as numbers; what is no time is NaN."""
    if pd.api.types.is_numeric_dtype(values):
        return values.astype(float)
    dates = pd.to_datetime(values, errors="coerce", utc=True, format="mixed")
    return dates.astype("int64").astype(float).where(dates.notna()) / 1e9


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in the order of numbers: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (10**18, part)
            for part in re.split(r"(\d{1,17})", name)]  # fmt: skip


def _note(message: str) -> Finding:
    return Finding(level="note", check="rows and films left out", message=message)


def generate(
    users: int = 240, films: int = 160, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Made-up people with tastes, over films that nobody ever made.

    Args:
        users: Number of people.
        films: Number of films, at most 288.
        seed: Seed of the chance.

    Returns:
        Rows of user, film, rating and time; the films by number.
    """
    rng = np.random.default_rng(seed)
    pairs = rng.permutation([f"{a} {b}" for a in FIRST for b in LAST]).tolist()
    pairs = [*pairs, *(f"Return to the {pair}" for pair in pairs)]
    genres = np.array(["Comedy", "Drama", "Thriller", "Fantasy", "Romance", "War"])
    years = rng.integers(1950, 2025, films)
    kinds = np.array([rng.choice(len(genres), 2, replace=False) for _ in range(films)])
    table = pd.DataFrame(
        {
            "title": [f"{pair} ({year})" for pair, year in zip(pairs, years, strict=False)],
            "genres": ["|".join(genres[sorted(kind)]) for kind in kinds],
            "year": years.astype(float),
        },
        index=[str(number) for number in range(1, films + 1)],
    )
    taste = rng.normal(size=(users, len(genres)))
    fame, quality = rng.gumbel(size=films), rng.normal(size=films)
    likes = taste[:, kinds].mean(axis=2) + 0.01 * np.outer(rng.normal(size=users), years - 1985)
    drawn = np.argsort(-(2.0 * likes + 0.7 * fame + rng.gumbel(size=likes.shape)), axis=1)
    rows = []
    for user, order in enumerate(drawn):
        watched = order[: rng.integers(12, 45)]
        stars = 3.3 + 0.8 * likes[user, watched] + 0.5 * quality[watched]
        stars = (stars + rng.normal(scale=0.7, size=len(watched))).round().clip(1, 5)
        when = np.sort(rng.uniform(1.6e9, 1.7e9, len(watched))).round()
        rows.append(pd.DataFrame({"user": str(user + 1), "film": (watched + 1).astype(str),
                                  "rating": stars, "time": when}))  # fmt: skip
    return pd.concat(rows, ignore_index=True), table
