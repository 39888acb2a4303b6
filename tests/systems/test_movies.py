"""Movies: rankings are counted right, new users are served, nothing of the test rows leaks in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import ndcg_score

import mlfolio
from mlfolio.core.errors import FileError, InputError, KnobError, UnknownNameError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.run import Run
from mlfolio.core.source import SAMPLE, Source
from mlfolio.parts.recsys.interactions import interactions, split
from mlfolio.parts.recsys.ranking import best, beyond, coverage, judge
from mlfolio.systems.movies import recommenders, titles
from mlfolio.systems.movies.data import Names, Watched, generate, load_watched
from mlfolio.systems.movies.model import COLD, NOTHING, MoviesModel, MoviesOutput
from mlfolio.systems.movies.ratings import Ratings
from mlfolio.systems.movies.system import Movies
from tests.conftest import Cli


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[MoviesModel, Watched]:
    """The model of the sample, as it comes back from disk, and its data."""
    folder = tmp_path_factory.mktemp("movies")
    data = Movies().load(SAMPLE)
    Movies().fit(data, Run("movies", folder)).save(folder)
    return MoviesModel.load(folder), data


def ask(model: MoviesModel, **row: Any) -> MoviesOutput:
    (output,) = model.predict(parse_inputs(model, [row]))
    return output


def random_matrix(shape: tuple[int, int], share: float, seed: int = 0) -> Any:
    return sp.random(*shape, share, "csr", rng=np.random.default_rng(seed), data_rvs=np.ones)


def test_rankings_are_counted_as_others_count_them() -> None:
    rng = np.random.default_rng(0)
    relevant, seen = random_matrix((30, 50), 0.2), sp.csr_matrix((30, 50))
    scores = rng.normal(size=(30, 50))

    found = judge(best(scores, seen, 10), relevant)

    some = np.flatnonzero(np.diff(relevant.indptr))
    for user in some:
        truth = relevant[user].toarray()
        assert found["nDCG@10"][user] == pytest.approx(ndcg_score(truth, scores[[user]], k=10))
    trec = pytest.importorskip("pytrec_eval")
    truth = {str(u): {str(i): 1 for i in relevant[u].indices} for u in some}
    run = {str(u): {str(i): float(scores[u, i]) for i in range(50)} for u in some}
    for user, theirs in (
        trec.RelevanceEvaluator(truth, {"P_10", "map_cut_10"}).evaluate(run).items()
    ):
        mine = {name: values[int(user)] for name, values in found.items()}
        n = len(truth[user])
        assert mine["precision@10"] == pytest.approx(theirs["P_10"])
        # theirs is of all relevant items, ours of what ten places can hold
        assert mine["MAP@10"] * min(n, 10) / n == pytest.approx(theirs["map_cut_10"])
        assert mine["recall@10"] * min(n, 10) == pytest.approx(theirs["P_10"] * 10)


def test_nothing_seen_is_ranked_and_who_has_nothing_is_no_test_item() -> None:
    seen = random_matrix((20, 30), 0.3)
    top = best(np.ones((20, 30)), seen, 5)
    assert not np.take_along_axis(seen.toarray(), top, 1).any()
    assert np.isnan(judge(top, sp.csr_matrix((20, 30)))["nDCG@5"]).all()


def test_coverage_novelty_and_diversity() -> None:
    seen = sp.csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]))
    assert coverage(np.array([[0, 1], [1, 0]]), 4) == 0.5
    found = beyond(np.array([[0, 1], [2, 3]]), seen)
    assert found["novelty@2"].tolist() == pytest.approx([(np.log2(4 / 3) + 1) / 2, 2])
    assert found["diversity@2"].tolist() == pytest.approx([1 - 2 / np.sqrt(6), 1])


def test_a_share_of_every_users_films_is_held_out_once() -> None:
    seen = random_matrix((40, 60), 0.3)
    train, test = split(seen, 0.25, seed=1)
    assert (train + test != seen).nnz == 0
    assert train.multiply(test).nnz == 0
    assert np.diff(test.indptr).tolist() == np.round(np.diff(seen.indptr) * 0.25).tolist()
    assert (split(seen, 0.25, seed=2)[1] != test).nnz > 0


def test_ease_is_each_film_regressed_on_all_others() -> None:
    seen = random_matrix((60, 8), 0.4).toarray()
    ridge = 2.0 * np.trace(seen.T @ seen) / 8
    weights = recommenders.ItemWeights.ease(sp.csr_matrix(seen), 2.0, damp=0).array
    for film in range(8):
        others = np.delete(seen, film, axis=1)
        gram = others.T @ others + ridge * np.eye(7)
        wanted = np.linalg.solve(gram, others.T @ seen[:, film])
        assert np.delete(weights[:, film], film) == pytest.approx(wanted)
        assert weights[film, film] == 0


def test_als_finds_what_lowers_its_loss_and_tells_its_reasons_exactly() -> None:
    seen = random_matrix((50, 30), 0.3)

    def loss(found: recommenders.Factors) -> float:
        people, films = found.people(seen), found.array
        scores, counts = people @ films.T, np.diff(seen.indptr)
        ridge = found.ridge * (counts + found.unseen * 30)
        back = found.ridge * (np.asarray(seen.sum(axis=0)).ravel() + found.unseen * 50)
        return float(
            ((1 - scores)[seen.nonzero()] ** 2).sum() + found.unseen * (scores**2).sum()
            + ridge @ (people**2).sum(axis=1) + back @ (films**2).sum(axis=1)
        )  # fmt: skip

    sweeps = [recommenders.Factors.fit(seen, 4, n) for n in (1, 3, 9)]
    assert loss(sweeps[0]) > loss(sweeps[1]) > loss(sweeps[2])
    liked, every = seen[0].indices, np.arange(30)
    whole = sweeps[2].pull(liked, every).sum(axis=0)
    assert whole == pytest.approx(sweeps[2].score(seen[:1])[0])


@pytest.mark.parametrize("name", ["popularity", "user", "item", "ease", "als", "blend"])
def test_a_row_is_scored_alike_alone_and_among_others(name: str) -> None:
    seen = random_matrix((60, 40), 0.25)
    makers: dict[str, Any] = {
        "popularity": recommenders.Popularity.fit, "user": recommenders.UserNeighbours,
        "item": recommenders.ItemWeights.cosine, "ease": recommenders.ItemWeights.ease,
        "als": recommenders.Factors.fit, "blend": recommenders.Blend.fit,
    }  # fmt: skip
    made = makers[name](seen)
    new = random_matrix((5, 40), 0.2, seed=9)
    assert made.score(new)[2:3] == pytest.approx(made.score(new[2]))


def test_ratings_are_told_with_the_doubt_that_there_is() -> None:
    """Made-up ratings: the error is near the noise, and intervals hold as often as they say."""
    rng = np.random.default_rng(0)
    users, films = rng.normal(size=(300, 2)), rng.normal(size=(80, 2))
    truth = 3 + users @ films.T * 0.5 + rng.normal(size=80) * 0.5
    stars = truth + rng.normal(scale=0.4, size=truth.shape)
    known, asked = rng.random(truth.shape) < 0.3, rng.random(truth.shape) < 0.1
    train = interactions(*np.nonzero(known), truth.shape, stars[known])
    model = Ratings.fit(train, np.ones((80, 1)), d=3)
    people, wide = model.people(train)
    rows, columns = np.nonzero(asked & ~known)
    mean, deviation = model.expected(people[rows], wide[rows], columns)
    error = stars[rows, columns] - mean
    assert 0.4 < np.sqrt((error**2).mean()) < 0.5
    assert (np.abs(error) < 1.645 * deviation).mean() == pytest.approx(0.9, abs=0.03)
    chance, came = model.chance(mean, deviation, 3.5), stars[rows, columns] >= 3.5
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1)):
        within = (chance > low) & (chance <= high)
        assert chance[within].mean() == pytest.approx(came[within].mean(), abs=0.1)


def test_ratings_without_reason_cannot_be_predicted() -> None:
    """Shuffled stars: nobody is better than the mean, so no test rating has come into the fit."""
    data = Movies().load(SAMPLE)
    rng = np.random.default_rng(0)
    stars = data.matrix()
    stars.data = rng.permutation(stars.data)
    train, test = split(stars, 0.25, seed=0)
    model = Ratings.fit(train, data.facts)
    people, wide = model.people(train)
    rows = test.tocoo().row
    mean, _ = model.expected(people[rows], wide[rows], test.indices)
    assert np.sqrt(((test.data - mean) ** 2).mean()) > 0.97 * test.data.std()


def test_the_blend_does_not_see_what_is_held_out() -> None:
    """Who watched what at random: no method may be better than chance."""
    seen = random_matrix((300, 100), 0.2)
    train, test = split(seen, 0.25, seed=0)
    found = judge(best(recommenders.Blend.fit(train).score(train), train, 10), test)
    chance = np.diff(test.indptr).mean() / (100 - np.diff(train.indptr).mean())
    assert np.nanmean(found["precision@10"]) == pytest.approx(chance, abs=0.015)


@pytest.mark.slow
def test_every_protocol_has_its_score(home: Path) -> None:
    result = mlfolio.run("movies", data="sample", register=False, repeats=1)
    protocols = {score.name: score.protocol for score in result.scores}
    assert "held out by date" in protocols["nDCG@10 by time"]
    assert "left out of the fit" in protocols["nDCG@10 of new users"]
    scores = {score.name: score for score in result.scores}
    for name in ("nDCG@10", "nDCG@10 of new users"):
        assert scores[name].trivial is not None
        assert scores[name].value > scores[name].trivial.value  # type: ignore[union-attr]
    strong = scores["RMSE"].strong
    assert strong is not None
    assert scores["RMSE"].value < strong.value


def test_tastes_that_are_there_are_found() -> None:
    """Two camps that share no film: who brings two of one camp is recommended the others of it."""
    rng = np.random.default_rng(0)
    camps = np.zeros((80, 40))
    camps[:40, :20] = rng.random((40, 20)) < 0.5
    camps[40:, 20:] = rng.random((40, 20)) < 0.5
    blend = recommenders.Blend.fit(sp.csr_matrix(camps))
    new = interactions([0, 0, 1, 1], [0, 1, 30, 31], (2, 40))
    top = best(blend.score(new), new, 10)
    assert (top[0] < 20).all()
    assert (top[1] >= 20).all()


def test_recommendations_keep_to_what_was_asked_for(shop: tuple[MoviesModel, Watched]) -> None:
    model, data = shop
    liked = [str(title) for title in data.films["title"][:3]]
    output = ask(model, liked="; ".join(liked), genre="comedy", year_from=1980, year_to="2010", n=4)
    assert 0 < len(output.recommendations) <= 4
    assert output.answer == output.recommendations[0].title
    assert output.confidence == output.recommendations[0].chance
    for film in output.recommendations:
        assert "Comedy" in film.genres
        assert film.year is not None
        assert 1980 <= film.year <= 2010
        assert film.title not in liked
        assert set(filter(None, film.because.split("; "))) <= set(liked)
    nothing = ask(model, liked=liked, year_from=2190)
    assert (nothing.answer, nothing.confidence) == ("", None)
    assert NOTHING in nothing.warnings


def test_the_slider_goes_from_what_few_to_what_many_have_seen(
    shop: tuple[MoviesModel, Watched],
) -> None:
    model, data = shop
    counts = data.table["film"].value_counts()
    number = {title: film for film, title in enumerate(data.films["title"])}

    def fame(popularity: float) -> float:
        found = ask(model, liked=data.films["title"][0], popularity=popularity)
        return float(np.mean([counts[number[film.title]] for film in found.recommendations]))

    assert fame(0) < fame(0.5) < fame(1)


def test_known_users_disliked_films_and_nobody(shop: tuple[MoviesModel, Watched]) -> None:
    model, data = shop
    mine = data.films["title"].iloc[data.table.query("user == 4")["film"]]
    output = ask(model, user=data.users[4], n=100)
    assert len(output.recommendations) == min(100, len(data.films) - len(mine))
    assert not set(mine) & {film.title for film in output.recommendations}
    nobody = ask(model)
    assert COLD in nobody.warnings
    disliked = ask(model, disliked=nobody.answer)
    assert disliked.answer != nobody.answer
    assert ask(model, liked=f"{nobody.answer}=99").warnings[0].startswith("ratings go from 1 to 5")


def test_liking_and_disliking_changes_what_one_would_rate(
    shop: tuple[MoviesModel, Watched],
) -> None:
    model, data = shop
    films = [str(title) for title in data.films["title"][:12]]
    kind, harsh = (ask(model, liked=tuple(f"{film}={stars}" for film in films)) for stars in (5, 3))
    mean = [np.mean([f.rating for f in each.recommendations]) for each in (kind, harsh)]
    assert mean[0] > mean[1]


def test_similar_films_are_seen_by_the_same_people(shop: tuple[MoviesModel, Watched]) -> None:
    model, data = shop
    title = str(data.films["title"][5])
    output = ask(model, similar_to=title.rpartition(" (")[0].upper())
    assert len(output.similar) == 10
    assert title not in output.similar
    assert "there is no film 'Casablanca'" in ask(model, similar_to="Casablanca").warnings[0]


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("star wars", "Star Wars (1977)"),
        ("The Godfather", "Godfather, The (1972)"),
        ("godfather", "Godfather, The (1972)"),
        ("Amelie", "Fabuleux destin d'Amélie Poulain, Le (Amélie) (2001)"),
        ("sabrina (1954)", "Sabrina (1954)"),
        ("sabrina", "Sabrina (1995)"),
        ("Romeo and Juliet", "Romeo & Juliet"),
        ("Casablanca", None),
    ],
)
def test_titles_as_people_type_them(typed: str, title: str | None) -> None:
    films = ["Sabrina (1954)", "Sabrina (1995)", "Star Wars (1977)", "Godfather, The (1972)",
             "Fabuleux destin d'Amélie Poulain, Le (Amélie) (2001)",
             "Romeo & Juliet", "東京 (2008)"]  # fmt: skip
    known = titles.Titles(films, [1, 2, 3, 4, 5, 6, 7])
    found = known.find(typed)
    assert (None if found is None else films[found]) == title
    _, warnings = known.find_all(["Star Wers"])
    assert warnings == ["there is no film 'Star Wers'; did you mean 'Star Wars (1977)'?"]
    assert known.find("東京") == 6


def test_what_there_is_not_is_refused_with_the_nearest(shop: tuple[MoviesModel, Watched]) -> None:
    model, _ = shop
    for row, said in [
        ({"genre": "Comdey"}, "did you mean 'Comedy'"),
        ({"user": "nobody"}, "no user of this name"),
        ({"popularity": 2}, "popularity"),
        ({"liked": ["x"] * 201}, "liked"),
        ({"liked": "x" * 201}, "liked"),
    ]:
        with pytest.raises(InputError, match=said):
            ask(model, **row)


def table(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    return generate(100, 60, seed)[0].head(rows).rename(columns={"film": "item"})


def load(frame: pd.DataFrame, folder: Path, most: int = 5000, **names: str) -> Watched:
    frame.to_csv(folder / "my.csv", index=False)
    return load_watched(Source.own(folder / "my.csv"), Names(**names), most)


def test_own_tables_under_their_usual_names(home: Path) -> None:
    usual = table().rename(columns={"user": "userId", "item": "movieId", "time": "timestamp"})
    assert load(usual, home).rated
    named = table().rename(columns={"user": "who", "item": "what"})
    data = load(named[["who", "what"]], home, user="who", item="what")
    assert not data.rated
    assert data.films["title"][1] == "2"
    facts = table().assign(title=lambda t: "Film " + t["item"] + " (1999)", genres="War, Drama")
    known = load(facts, home).films
    assert known["year"].eq(1999).all()
    assert known["genres"].eq("War|Drama").all()
    dated = table().assign(time=lambda t: pd.to_datetime(t["time"], unit="s").astype(str))
    assert load(dated, home).table["time"].iloc[0] == load(table(), home).table["time"].iloc[0]


def test_a_folder_as_newer_movielens_sets_have_it(home: Path) -> None:
    (home / "set").mkdir()
    rows, films = generate(80, 50)
    renamed = rows.rename(columns={"user": "userId", "film": "movieId", "time": "timestamp"})
    renamed.to_csv(home / "set" / "ratings.csv", index=False)
    films.drop(columns="year").rename_axis("movieId").to_csv(home / "set" / "movies.csv")
    data = load_watched(Source.own(home / "set"), Names(), 5000)
    assert data.films["title"][0] == films["title"].iloc[0]
    assert data.films["year"].notna().all()


def test_what_is_left_out_is_said(home: Path) -> None:
    rows = table().astype({"user": object})
    rows.loc[:4, "user"] = None
    rows.loc[10:12, "rating"] = np.nan
    twice = pd.concat([rows, rows.tail(7).assign(rating=1.0, time=9e9)])
    data = load(twice, home, most=40)
    said = " ".join(finding.message for finding in data.check())
    assert "rows without user, item or rating: 8 of" in said
    assert "come again: 7" in said
    assert "the 40 that most have seen are kept" in said
    assert len(data.films) == 40
    assert (data.table["time"] == 9e9).sum() <= 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(user="1"), "1 users"),
        (lambda t: t.assign(item="1"), "1 films"),
        (lambda t: t.drop(columns="user"), "no column that looks like the user"),
        (lambda t: t.assign(rating="good"), "are no numbers, like 'good'"),
        (lambda t: t.assign(rating=np.inf), "is infinite in row 1"),
        (lambda t: t.head(0), "has column names and no rows"),
        (lambda t: t.assign(rating=np.nan), "0 users"),
    ],
)
def test_tables_that_cannot_be_used_are_explained(home: Path, change: Any, said: str) -> None:
    with pytest.raises(FileError, match=said):
        load(change(table()), home)


def test_knobs_that_do_not_fit_are_explained(home: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'item'"):
        load(table(), home, item="itm")
    with pytest.raises(KnobError, match="your own table"):
        Movies(user="x").load(SAMPLE)


@pytest.mark.slow
def test_a_table_without_ratings_or_times_runs_and_answers(cli: Cli, home: Path) -> None:
    table()[["user", "item"]].to_csv(home / "mine.csv", index=False)
    outcome = cli("run", "movies", "repeats=1", "--data", "mine.csv")
    assert outcome.code == 0, outcome.err
    answer = json.loads(cli("predict", "movies", "liked=3; 7", "n=2", "--json").out)
    assert len(answer["recommendations"]) == 2
    assert answer["confidence"] is None
    assert answer["recommendations"][0]["rating"] is None


def test_movielens_keeps_its_targets() -> None:
    """What was promised of the official data, as it was measured on them."""
    from importlib.resources import files

    found = json.loads(files("mlfolio.systems.movies").joinpath("results.json").read_text("utf-8"))
    scores = {score["name"]: score for score in found["scores"]}
    assert scores["nDCG@10"]["met"]
    assert scores["RMSE"]["met"]
    assert scores["RMSE"]["n"] == 20_000


def test_ids_stay_as_they_are_written_where_a_cell_is_empty(home: Path) -> None:
    rows, _ = generate()
    numbers = pd.DataFrame({"user": rows["user"].astype(float), "item": rows["film"].astype(float)})
    numbers.loc[3, "user"] = numbers.loc[9, "item"] = np.nan
    numbers.to_csv("my.csv", index=False)
    data = load_watched(Source.own("my.csv"), Names(), 5000)
    assert "42" in data.users
    assert "7" in set(data.films["title"])


def test_splits_judge_the_same_people_where_there_are_too_many(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = generate()
    loners = pd.DataFrame({"user": [f"one {n}" for n in range(40)], "film": "1", "rating": 3.0})
    pd.concat([rows[["user", "film", "rating"]], loners]).to_csv("my.csv", index=False)
    monkeypatch.setattr("mlfolio.systems.movies.system.JUDGED", 60)
    result = mlfolio.run("movies", data="my.csv", register=False, repeats=2)
    assert result.scores[0].n <= 60


def test_users_with_nothing_to_hold_out_are_too_few(home: Path) -> None:
    pairs = [(f"u{n}", f"f{m}") for n in range(60) for m in (n % 30, (n + 1) % 30)]
    pd.DataFrame(pairs, columns=["user", "item"]).to_csv("my.csv", index=False)
    with pytest.raises(FileError, match="0 users with 3 films or more"):
        load_watched(Source.own("my.csv"), Names(), 5000)


def test_a_stored_model_answers_as_before_whatever_the_ratings(home: Path) -> None:
    rows, _ = generate()
    rows["rating"] = rows["rating"].map({1: 1.1, 2: 2.2, 3: 3.3, 4: 4.6, 5: 5.5})
    rows.to_csv("my.csv", index=False)
    model = Movies().fit(Movies().load(Source.own("my.csv")), Run("movies", home))
    Path("stored").mkdir()
    model.save(Path("stored"))
    again = MoviesModel.load(Path("stored"))
    asked = [{"user": user} for user in model.users[:20]]
    for one, other in zip(
        model.predict(parse_inputs(model, asked)),
        again.predict(parse_inputs(again, asked)),
        strict=True,
    ):
        assert [r.title for r in one.recommendations] == [r.title for r in other.recommendations]


@pytest.mark.parametrize("stored", ["Enfer, L' (1994)", "L'Enfer (1994)"])
@pytest.mark.parametrize("typed", ["L'Enfer", "l’enfer (1994)", "enfer"])
def test_an_article_may_be_joined_to_its_word(stored: str, typed: str) -> None:
    assert titles.Titles([stored], [1]).find(typed) == 0


def test_an_alias_takes_no_other_films_title() -> None:
    films = titles.Titles(["Living (Ikiru) (1952)", "Living"], [10, 3])
    assert films.find("living") == 1
    assert films.find("living (1952)") == 0
    assert films.find("ikiru") == 0


def test_a_column_of_free_text_makes_no_genres(home: Path) -> None:
    rows = table()
    rows.assign(category=[f"note {n}; more {n}; else {n}" for n in range(len(rows))]).to_csv(
        "my.csv"
    )
    data = load_watched(Source.own("my.csv"), Names(), 5000)
    assert data.facts.shape[1] <= 103
    assert any("genres" in finding.message for finding in data.notes)


def test_a_title_with_another_year_is_another_film() -> None:
    films = titles.Titles(["Titanic (1997)", "Solaris"], [10, 3])
    assert films.find("titanic") == 0
    assert films.find("Titanic (1953)") is None
    assert films.find("Solaris (1972)") == 1  # whose year is not known
