"""Forms: filled, answered and explained, by mouse and by keyboard, and called by programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tools.screenshots import stroke

from tests.browser.conftest import WAIT_MS, Site, Watched

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow


def expect(thing: Any) -> Any:
    return playwright.expect(thing)


def test_a_form_answers_in_words_and_says_why(watched: Watched) -> None:
    page = watched.open("titanic")

    page.get_by_label("female", exact=True).check()
    page.get_by_role("button", name="Predict").click()

    expect(page.locator("#answer .mlf-answer")).to_contain_text("surviv", timeout=WAIT_MS)
    expect(page.locator("#answer")).to_contain_text("sure")
    expect(page.locator("#why")).to_contain_text("sex = female")
    expect(page.locator("#why")).to_contain_text("From a typical case")
    page.get_by_label("male", exact=True).check()  # the answer was another passenger's
    expect(page.locator("#answer .mlf-answer")).to_have_count(0, timeout=WAIT_MS)
    expect(page.locator("#why .mlf-bar")).to_have_count(0)


def test_titanic_by_keyboard_alone(watched: Watched) -> None:
    page = watched.open("titanic")
    page.get_by_role("button", name="Predict").wait_for()

    def go(name: str) -> None:
        """Tabs until the label of what has the focus begins with a name."""
        label = "(document.activeElement.labels?.[0] ?? document.activeElement).innerText"
        for _ in range(60):
            page.keyboard.press("Tab")
            said = page.evaluate(
                f"[document.activeElement.ariaLabel, {label}].join(' ').trim().toLowerCase()"
            )
            if name in said:
                return
        raise AssertionError(f"the keyboard does not reach {name}")

    go("name")
    page.keyboard.press("Control+a")
    page.keyboard.type("Quist, Mrs. Berta")
    go("male")
    page.keyboard.press("ArrowRight")
    chosen = page.locator("#field-Sex input:checked")
    expect(chosen).to_be_focused()
    sex = chosen.evaluate("(e) => e.labels[0].innerText.trim()")
    go("predict")
    page.keyboard.press("Enter")

    page.wait_for_selector("#answer .mlf-answer")
    why = page.locator("#why")
    if sex == "female":  # the typical passenger is a man
        expect(why).to_contain_text("sex = female", timeout=WAIT_MS)
    else:
        expect(why).not_to_contain_text("sex = ")


def test_what_is_not_known_is_not_made_up(watched: Watched) -> None:
    page = watched.open("titanic")
    unknown = page.locator("#unknown").get_by_label("age", exact=True)

    unknown.check()
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("#answer .mlf-answer")
    expect(page.locator("#why")).not_to_contain_text("age = 0")

    age = page.locator("#field-Age input[type=number]")
    age.fill("30")
    age.press("Tab")
    expect(unknown).not_to_be_checked(timeout=WAIT_MS)  # whoever sets it knows it


def test_few_whole_numbers_are_a_choice_and_sliders_have_round_ends(watched: Watched) -> None:
    page = watched.open("titanic")

    expect(page.locator("#field-Pclass input[type=radio]")).to_have_count(3, timeout=WAIT_MS)
    slider = page.locator("#field-Age input[type=range]")
    ends = [float(slider.get_attribute(name)) for name in ("min", "max", "step")]
    assert all(end == round(end, 1) for end in ends)
    assert ends[0] <= 1


def test_examples_show_every_class(watched: Watched) -> None:
    page = watched.open("iris")
    rows = page.locator(".gallery tr, table tbody tr")
    expect(rows.first).to_be_visible(timeout=WAIT_MS)

    seen = set()
    for row in range(rows.count()):
        rows.nth(row).click()
        filled = page.locator("#field-sepal_length input[type=number]")
        expect(filled).not_to_have_value(f"4.3{row - 1}", timeout=WAIT_MS)
        page.get_by_role("button", name="Predict").click()
        page.wait_for_selector("#answer .mlf-answer")
        seen.add(page.locator("#answer .mlf-answer").inner_text())
        filled.fill(f"4.3{row}")  # no flower's
        expect(page.locator("#answer .mlf-answer")).to_have_count(0, timeout=WAIT_MS)

    assert seen == {"setosa", "versicolor", "virginica"}


def test_a_digit_is_read_as_it_is_drawn(watched: Watched) -> None:
    page = watched.open("digits")
    page.wait_for_selector("#pad canvas")

    stroke(page)

    page.wait_for_selector("#seen img")
    expect(page.locator("#answer .mlf-answer")).to_have_text("3", timeout=WAIT_MS)
    expect(page.locator("#answer .mlf-bar")).to_have_count(3)
    expect(page.locator("#seen img")).to_have_attribute("width", "280")  # over the drawing

    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#answer")).to_have_text("Draw a digit.", timeout=WAIT_MS)
    expect(page.locator("#seen img")).to_have_count(0)

    stroke(page, ((0.5, 0.5),))  # a dot is ink too
    page.wait_for_selector("#answer .mlf-answer")
    expect(page.locator("#answer")).not_to_contain_text("blank")


def test_pictures_that_are_none_are_told_in_our_words(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (5000, 4000)).save(tmp_path / "large.png")
    page = watched.open("digits")
    page.get_by_role("button", name="bring a picture").click()
    file = page.locator("#picture input[type=file]")

    file.set_input_files(str(tmp_path / "text.png"))
    error = page.locator("#answer .mlf-error")
    expect(error).to_contain_text("image: no PNG or JPEG that can be read", timeout=WAIT_MS)
    expect(error).not_to_contain_text("Value error")
    expect(error).not_to_contain_text("row 1")

    page.locator("#picture").get_by_label("Clear").click()
    expect(page.locator("#answer")).to_have_text("Draw a digit.", timeout=WAIT_MS)
    page.locator("#picture input[type=file]").set_input_files(str(tmp_path / "large.png"))
    expect(error).to_contain_text("20 megapixels; a PNG may have 16", timeout=WAIT_MS)


@pytest.mark.parametrize("name", ["iris", "titanic", "digits", "documents"])
def test_what_is_shown_to_call_it_works(
    watched: Watched, site: Site, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "a file.txt"
    file.write_text("The lighthouse keeper of Arnholm is called Berta Quist.")
    if name == "digits":
        file = tmp_path / "a file.png"
        Image.new("L", (28, 28)).save(file)
    page = watched.open(name)
    page.get_by_role("tab", name="Call it").click()
    page.get_by_text("Python, over HTTP").wait_for()
    expect(page.locator(".cm-content").first).to_contain_text(site.url, timeout=WAIT_MS)
    texts = [
        code.evaluate(
            "(e) => [...e.querySelectorAll('.cm-line')].map((l) => l.innerText).join('\\n')"
        )
        for code in page.locator(".cm-content").all()
    ]
    assert len(texts) == (5 if name == "documents" else 3)

    around = {**os.environ, "MLFOLIO_RUNS": str(site.runs)}
    for text in texts:
        # The name of a file goes in as people type it: quoted in a shell, as it is in Python.
        shell = text.startswith("curl")
        ready = text.replace("FILE", f"'{file}'" if shell else str(file))
        command = ["bash", "-c", ready] if shell else [sys.executable, "-c", ready]
        done = subprocess.run(
            command, env=around, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{ready}\n{done.stderr}"
        assert done.stdout.strip(), ready
        if shell:
            told = json.loads(done.stdout)
            assert isinstance(told, list) or "predictions" in told, done.stdout
