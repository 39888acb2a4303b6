"""The page of movies: choose what you liked, see what to watch, why, and what is like it."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any

import gradio as gr

from mlfolio.core.errors import MlfolioError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.page import Ask

from .model import MoviesModel, MoviesOutput

ANY = "any"


def build(ask: Ask) -> None:
    """The choices on the left; recommendations with their reasons beside them."""
    model = ask.model
    if not isinstance(model, MoviesModel):
        return
    titles = model.films["title"].tolist()
    with gr.Row():
        with gr.Column():
            liked = _films("films you liked", titles, "liked")
            disliked = _films("films you saw and did not like", titles, "disliked")
            genre = gr.Dropdown([ANY, *model.genres], value=ANY, label="genre", elem_id="genre")
            with gr.Row():
                first = gr.Number(None, label="from year", elem_id="year-from")
                last = gr.Number(None, label="to year", elem_id="year-to")
            fame = gr.Slider(
                0, 1, 0.5, step=0.05, elem_id="popularity",
                label="popularity: left what few have seen, right what most have",
            )  # fmt: skip
            similar = gr.Dropdown(
                ["", *titles], value="", label="similar films to", elem_id="similar-to"
            )
            button = gr.Button("Recommend", variant="primary")
        with gr.Column(scale=2):
            said = gr.HTML("", elem_id="answer")
            shown = gr.HTML("", elem_id="films")

    async def recommend(*values: Any) -> tuple[str, str]:
        names = ("liked", "disliked", "genre", "year_from", "year_to", "popularity", "similar_to")
        row = {name: value for name, value in zip(names, values, strict=True)
               if value not in (None, "", ANY, [])}  # fmt: skip
        for name in ("year_from", "year_to"):
            if row.get(name) == 0:  # what an empty box of numbers sends
                del row[name]
        answered, _ = await ask(row)
        return answered, await asyncio.to_thread(_shown, ask.model, row)

    asked = [liked, disliked, genre, first, last, fame, similar]
    button.click(recommend, asked, [said, shown], show_progress="minimal")
    if rows := [[list(each.model_dump()["liked"])] for each in model.examples()]:
        gr.Examples(rows, liked, label="for example")


def _films(label: str, titles: list[str], name: str) -> gr.Dropdown:
    """A choice of several films, found by typing; of ratings "Title=4" is taken as well."""
    return gr.Dropdown(
        titles, value=[], multiselect=True, allow_custom_value=True, label=label, elem_id=name,
        info="type to search; with a rating: Title=4" if name == "liked" else None,
    )  # fmt: skip


def _shown(model: Any, row: dict[str, Any]) -> str:
    """The recommendations as a table, and similar films as a list."""
    try:
        (output,) = model.predict(parse_inputs(model, [row]))
    except MlfolioError:  # which the answer says
        return ""
    if not isinstance(output, MoviesOutput):
        return ""
    lines = "".join(
        f"<tr><td>{escape(film.title)}</td><td>{escape(film.genres)}</td>"
        f"<td>{'' if film.rating is None else f'{film.rating:.1f}'}</td>"
        f"<td>{escape(film.because)}</td></tr>"
        for film in output.recommendations
    )
    table = (
        "<table><thead><tr><th>film</th><th>genres</th><th>you would rate it</th>"
        f"<th>because you liked</th></tr></thead><tbody>{lines}</tbody></table>"
    )
    near = "".join(f"<li>{escape(title)}</li>" for title in output.similar)
    return table + (f"<h4>Similar films</h4><ol>{near}</ol>" if near else "")
