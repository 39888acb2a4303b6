"""Who movies is and what it promises."""

from mlfolio.core.card import Card, Promise

CARD = Card(
    number=4,
    slug="movies",
    title="Film recommendations",
    summary="A few films that you liked in; films to watch, why, and how you would rate them out.",
    kind="recommendation",
    level="intermediate",
    dataset="movielens-100k",
    promises=(
        Promise(metric="nDCG@10", target=0.495),
        Promise(metric="precision@10"),
        Promise(metric="recall@10"),
        Promise(metric="MAP@10"),
        Promise(metric="nDCG@10 of new users"),
        Promise(metric="coverage@10"),
        Promise(metric="novelty@10"),
        Promise(metric="diversity@10"),
        Promise(metric="RMSE", target=0.92, direction="lower"),
        Promise(metric="Brier score", direction="lower"),
    ),
    method=(
        "EASE and implicit ALS score every film from the films somebody has seen, ALS once more "
        "from those rated well; the scores are blended. Variational Bayesian factorisation "
        "with genres, years and who rated what says how a film would be rated, and how sure that "
        "is. New users are answered in closed form, without a new fit."
    ),
    intended_use=(
        "Learning; recommendations for a shop, a library or a site that knows who had what, from "
        "a table of users and items."
    ),
    limits=(
        "It learns what people watched and rated, which is not what they would have liked: films "
        "that few have seen are hardly ever recommended first.",
        "A random split lets it learn from what came later; the score by time is lower, and nearer "
        "to what a new deployment would see.",
        "Predicted ratings are for films that somebody chose to watch, as all ratings it has seen "
        "are; of films that one would never choose they say too much.",
        "The stored model holds who has seen what, by user, so that known users can be asked for: "
        "keep models of your own data as you keep those data.",
    ),
)
