"""Writes the tables of measured scores into the READMEs, from the results.json files.

python tools/readme.py            write them
python tools/readme.py --check    fail if they are not up to date
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mlfolio.core.catalog import SYSTEMS, get_card
from mlfolio.report.words import interval, megabytes, number

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "src" / "mlfolio" / "systems"
MARKS = re.compile(r"(<!-- scores -->\n).*?(<!-- /scores -->)", re.DOTALL)


def folder(name: str) -> Path:
    """Where a system's files lie; Python names have no dashes."""
    return FOLDER / name.replace("-", "_")


def results(name: str) -> dict[str, Any] | None:
    """What was measured for a system; None if nothing was."""
    path = folder(name) / "results.json"
    found: dict[str, Any] | None = json.loads(path.read_text("utf-8")) if path.exists() else None
    return found


def overview() -> str:
    """One line a system: its primary score beside the baseline and the target."""
    lines = [
        "| | system | measured | 95 % interval | strong baseline | target | fit | needs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in SYSTEMS:
        card, found = get_card(name), results(name)
        if found is None:
            continue
        score, place = found["scores"][0], folder(name).name
        lines.append(
            f"| {card.number} | [{name}](src/mlfolio/systems/{place}/README.md): {card.title} "
            f"| **{number(score['value'])}** {score['name']} (n = {score['n']:,}) "
            f"| {interval(score['ci95'])} "
            f"| {number(score['strong_baseline'])} {score['strong_baseline_name']} "
            f"| {number(score['target'])} | {found['cost']['fit_seconds']:.0f} s "
            f"| {f'`[{card.extra}]`' if card.extra else 'base'} |"
        )
    return "\n".join(lines)


def details(name: str) -> str:
    """All scores of a system, with the command that gave them."""
    found = results(name)
    if found is None:
        return "Not measured yet."
    lines = [
        "| metric | measured | 95 % interval | n | trivial | strong cheap baseline | target |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in found["scores"]:
        strong = f"{number(s['strong_baseline'])} {s['strong_baseline_name'] or ''}".strip()
        trivial = f"{number(s['baseline'])} {s['baseline_name'] or ''}".strip()
        lines.append(
            f"| {s['name']} | **{number(s['value'])}** | {interval(s['ci95'])} | {s['n']:,} "
            f"| {trivial} | {strong} | {number(s['target'])} |"
        )
    cost, protocols = found["cost"], dict.fromkeys(s["protocol"] for s in found["scores"])
    lines += [
        "",
        f"Protocol: {'; '.join(protocols)}. Fitted in {cost['fit_seconds']:.0f} s and evaluated "
        f"in {cost['evaluate_seconds']:.0f} s on {found['environment']['cores']} cores; the stored "
        f"model has {megabytes(cost['model_bytes'])}; one answer takes {cost['predict_ms']:.1f} ms",
        "",
        f"Made by `{found['command']}` on data `{found['fingerprint'][:16]}`.",
    ]
    return "\n".join(lines)


def main(check: bool) -> int:
    """Writes or checks every README; returns how many are not up to date."""
    pages = {ROOT / "README.md": overview()}
    pages |= {folder(name) / "README.md": details(name) for name in SYSTEMS}
    stale = 0
    for path, table in pages.items():
        text = path.read_text("utf-8")
        fresh = MARKS.sub(lambda marks, table=table: f"{marks[1]}{table}\n{marks[2]}", text)  # type: ignore[misc]
        if fresh == text:
            continue
        stale += 1
        print(f"{path.relative_to(ROOT)} {'is not up to date' if check else 'written'}")
        if not check:
            path.write_text(fresh, "utf-8")
    return stale


if __name__ == "__main__":
    checking = "--check" in sys.argv
    sys.exit(min(main(checking), 1) if checking else 0 * main(checking))
