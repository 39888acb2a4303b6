"""The report of a run: one HTML file that needs no network and can be mailed.

It is made from the run's folder alone, so it can be made again at any time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from mlfolio.core.card import Card
from mlfolio.core.run import Exhibit, read_exhibits, read_json, write_text
from mlfolio.report.words import FOREIGN, number, png_url, title, verdict

STAGES = {"data": "The data", "fit": "How it was made", "evaluate": "How good it is"}
MAX_ROWS = 60


def write_report(folder: Path, card: Card) -> Path:
    """Writes `report.html` into a run's folder.

    Args:
        folder: The run's folder with `scores.json`, `data.json` and its exhibits.
        card: The system's card.

    Returns:
        Path of the report.
    """
    pages = Environment(
        loader=PackageLoader("mlfolio.report"), autoescape=select_autoescape(default=True)
    )
    pages.filters |= {"number": number}
    exhibits = read_exhibits(folder)
    result, data = read_json(folder / "scores.json"), read_json(folder / "data.json")
    html = pages.get_template("report.html").render(
        card=card,
        result=result,
        data=data,
        title=title(card, result["source"], data["dataset"]),
        foreign=FOREIGN if result["source"] == "own" else "",
        environment=read_json(folder / "environment.json"),
        verdicts=[verdict(score) for score in result["scores"]],
        stages=[
            (heading, [_shown(folder, e) for e in exhibits if e.stage == stage])
            for stage, heading in STAGES.items()
        ],
    )
    path = folder / "report.html"
    write_text(path, html)
    return path


def _shown(folder: Path, exhibit: Exhibit) -> dict[str, Any]:
    """What the template needs of an exhibit: the picture as text, the table as cells."""
    shown: dict[str, Any] = exhibit.model_dump()
    if exhibit.kind == "figure":
        shown["source"] = png_url((folder / exhibit.file).read_bytes())
    elif exhibit.kind == "table":
        import csv

        with (folder / exhibit.file).open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        shown |= {"header": header, "rows": rows[:MAX_ROWS], "left_out": len(rows[MAX_ROWS:])}
    return shown
