"""Reports and cards: whole, readable by others, and safe with hostile names in the data."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import mlfolio
from mlfolio.core.catalog import get_card
from mlfolio.report.card import write_model_card
from mlfolio.report.data_card import write_data_card
from mlfolio.report.html import write_report
from mlfolio.report.sbom import needed, write_sbom
from mlfolio.report.words import FOREIGN, interval, megabytes, number, verdict


class Links(HTMLParser):
    """Collects tags, and what they point at."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "img":
            assert dict(attrs)["alt"], "every picture says what it shows"


def test_a_report_needs_nothing_from_outside(home: Path) -> None:
    result = mlfolio.run("iris", repeats=1, register=False)
    page = Links()
    page.feed((result.folder / "report.html").read_text("utf-8"))

    assert page.tags.count("img") >= 3
    assert all(target.startswith("data:image/png;base64,") for target in page.targets)


def test_names_from_the_data_are_text_in_the_report(home: Path) -> None:
    rows = "\n".join(f"{i % 7}.{i},{i % 5}.{i},{'ab'[i % 2]}" for i in range(60))
    evil = "<script>alert(1)</script>"
    (home / "own.csv").write_text(f"{evil},y,species\n{rows}\n", "utf-8")

    result = mlfolio.run("iris", data="own.csv", repeats=1, register=False)

    page = Links()
    page.feed((result.folder / "report.html").read_text("utf-8"))
    assert "script" not in page.tags


def test_what_is_said_of_the_official_data_is_not_claimed_of_own(home: Path) -> None:
    rows = "\n".join(f"{i % 7}.{i},{i % 5}.{i},{'ab'[i % 2]}" for i in range(60))
    (home / "own.csv").write_text(f"x,y,species\n{rows}\n", "utf-8")

    own = mlfolio.run("iris", data="own.csv", repeats=1, register=False)
    official = mlfolio.run("iris", repeats=1, register=False)

    for name in ("report.html", "MODEL_CARD.md"):
        text = (own.folder / name).read_text("utf-8")
        assert "Iris flower classification, on own.csv" in text
        assert FOREIGN in text
        assert FOREIGN not in (official.folder / name).read_text("utf-8")
    assert "type: iris" not in (own.folder / "MODEL_CARD.md").read_text("utf-8")
    assert "type: iris" in (official.folder / "MODEL_CARD.md").read_text("utf-8")


def test_a_report_can_be_made_again_from_its_folder(home: Path) -> None:
    result = mlfolio.run("iris", repeats=1, register=False)
    path = result.folder / "report.html"
    before = path.read_text("utf-8")
    path.unlink()
    assert write_report(result.folder, get_card("iris")).read_text("utf-8") == before


def test_a_full_disk_does_not_take_the_old_report(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mlfolio.run("iris", repeats=1, register=False).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    write = Path.write_text

    def half(path: Path, text: str, *args: Any, **facts: Any) -> int:
        write(path, text[:10], *args, **facts)
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", half)
    for writer in (write_report, write_model_card, write_data_card, write_sbom):
        with pytest.raises(OSError, match="no space"):
            writer(folder, get_card("iris"))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_the_model_card_is_what_hubs_read(home: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    result = mlfolio.run("iris", repeats=1, register=False)

    card = hub.ModelCard.load(result.folder / "MODEL_CARD.md")

    assert card.data.library_name == "mlfolio"
    (metric, *_) = card.data.eval_results
    assert metric.metric_value == pytest.approx(result.scores[0].value)
    assert metric.dataset_name == "Iris plants"


def test_numbers_in_words() -> None:
    assert [number(x) for x in (None, 0.83157, 12345.0, "x", 3, 0.00012345)] == [
        "–", "0.8316", "12,345", "x", "3.0000", "0.0001234",
    ]  # fmt: skip
    assert interval(None) == "–"
    assert interval((0.1, 0.25)) == "0.100 to 0.250"
    assert [megabytes(2048), megabytes(3 * 2**20)] == ["2 kB", "3.0 MB"]


def test_verdicts_do_not_claim_what_is_not_significant() -> None:
    score = {
        "target": 0.9, "met": True, "direction": "higher",
        "gain_ci95": (-0.01, 0.02), "strong_baseline_name": "Bayes",
    }  # fmt: skip
    assert "not significant" in verdict(score)
    assert "reaches its target of 0.900" in verdict(score)
    assert "better than Bayes by 0.010 to 0.020" in verdict({**score, "gain_ci95": (0.01, 0.02)})
    assert "worse than Bayes by 0.010 to 0.020" in verdict({**score, "gain_ci95": (-0.02, -0.01)})
    assert verdict({**score, "target": None, "gain_ci95": None}) == ""


def test_the_data_card_says_what_a_model_was_made_from(home: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    rows = "\n".join(f"{i % 7}.{i},{i % 5}.{i},{'ab'[i % 2]}" for i in range(60))
    evil = "a|b <script>"
    (home / "own.csv").write_text(f"{evil},y,species\n{rows}\n{rows}\n", "utf-8")

    own = mlfolio.run("iris", data="own.csv", repeats=1, register=False)
    official = mlfolio.run("iris", repeats=1, register=False)

    said = (own.folder / "DATA_CARD.md").read_text("utf-8")
    assert f"`{own.fingerprint}`" in said
    assert "copies of another one" in said  # the data doctor's
    assert "a\\|b &lt;script>" in said
    assert FOREIGN in said
    assert "archive.ics.uci.edu" not in said
    official_said = (official.folder / "DATA_CARD.md").read_text("utf-8")
    assert "https://archive.ics.uci.edu/dataset/53/iris" in official_said
    assert re.search(r"^\| petal.length[^|]* \| number \|", official_said, re.MULTILINE)
    card = hub.DatasetCard.load(official.folder / "DATA_CARD.md")
    assert card.data.pretty_name == "Iris plants"
    assert card.data.size_categories == ["n<1K"]


def test_the_bill_of_materials_is_what_cyclonedx_reads(home: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    result = mlfolio.run("iris", repeats=1, register=False)

    text = (result.folder / "sbom.json").read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    parts = {part["name"]: part for part in bill["components"]}
    assert parts["scikit-learn"]["version"] == version("scikit-learn")
    assert parts["Iris plants"]["hashes"] == [{"alg": "SHA-256", "content": result.fingerprint}]
    assert not {"torch", "pytest", "gradio"} & set(parts), "iris needs none of them"
    refs = {part["bom-ref"] for part in bill["components"]} | {"model"}
    assert {ref for one in bill["dependencies"] for ref in (one["ref"], *one["dependsOn"])} <= refs


def test_a_bill_has_the_extra_that_a_system_needs_and_what_that_needs() -> None:
    base, deep = needed("mlfolio", set()), needed("mlfolio", {"deep"})
    assert {"torch", "safetensors"} <= set(deep) - set(base)
    assert "sympy" in deep  # of torch
    assert needed("no-such-package", set()) == {}
