"""The page of documents: brought, asked, looked up and erased."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import WAIT_MS, Site, Watched
from tests.browser.test_door import config, copies, join
from tests.browser.test_site import CONTRASTS

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow
KEEPER = "The lighthouse keeper of Arnholm is called Berta Quist."


def expect(thing: Any) -> Any:
    return playwright.expect(thing)


def bring(page: Any, *paths: Path) -> None:
    page.locator("#files input[type=file]").set_input_files([str(path) for path in paths])


def ask(page: Any, question: str) -> None:
    page.locator("#question textarea, #question input").fill(question)
    page.keyboard.press("Enter")


def choose(page: Any, name: str) -> None:
    page.get_by_label("documents", exact=True).click()
    page.get_by_role("option", name=name).click()


def test_a_pdf_is_answered_from_and_a_citation_shows_its_page(
    watched: Watched, tmp_path: Path
) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "lighthouse.pdf"))
    canvas.drawString(72, 720, "The tower of Arnholm was built of granite.")
    canvas.showPage()
    canvas.drawString(72, 720, KEEPER)
    canvas.drawString(
        72, 700, "A boat <img src=http://203.0.113.1/x.png> brings the mail of Arnholm."
    )
    canvas.save()
    page = watched.open("documents")

    bring(page, tmp_path / "lighthouse.pdf")
    expect(page.locator("#said")).to_contain_text("passages", timeout=WAIT_MS)
    for turn, (asked, told) in enumerate(
        [("Who is the lighthouse keeper of Arnholm?", "Berta Quist"),
         ("What brings the mail of Arnholm?", "<img src=http://203.0.113.1/x.png>")], start=1,
    ):  # fmt: skip
        ask(page, asked)
        box = page.locator("#question textarea, #question input")
        expect(box).to_have_value("", timeout=WAIT_MS)
        box.fill("the next question")
        page.locator(f"#source-{turn}-1").wait_for()
        expect(page.locator("#conversation")).to_contain_text(told, timeout=WAIT_MS)
        expect(box).to_have_value("the next question")  # an answer leaves alone what is typed
    expect(page.locator("#sources summary").first).to_contain_text("lighthouse.pdf, page 2")

    source = page.locator("#source-1-1")  # of the first answer, which is further down by now
    assert source.get_attribute("open") is None
    page.locator('#conversation a[href="#source-1-1"]').first.click()
    expect(source).to_have_attribute("open", "")
    expect(source.locator("mark")).to_contain_text("Berta Quist")
    expect(source).to_contain_text("brings the mail")  # the rest of its page
    expect(source).not_to_contain_text("granite")  # not the page before
    assert page.get_by_label("share").count() == 0


def test_questions_are_narrowed_by_what_is_known_of_documents(
    watched: Watched, tmp_path: Path
) -> None:
    for name, team in (("Ulf", "harbour"), ("Eva", "railway")):
        text = f"---\nteam: {team}\n---\n\nThe porter of Esholm is called {name} Dahl."
        (tmp_path / f"{team}.md").write_text(text)
    page = watched.open("documents")
    narrow = page.get_by_label("only documents that are")
    expect(narrow).to_have_count(0)  # nothing is known of any of them

    bring(page, tmp_path / "harbour.md", tmp_path / "railway.md")
    expect(page.locator("#said")).to_contain_text("railway.md", timeout=WAIT_MS)
    page.get_by_role("button", name="Where to look").click(timeout=WAIT_MS)
    narrow.click()
    page.get_by_role("option", name="team = railway").click()
    page.keyboard.press("Escape")
    ask(page, "Who is the porter of Esholm?")
    expect(page.locator("#conversation")).to_contain_text("Eva Dahl", timeout=WAIT_MS)
    expect(page.locator("#conversation")).not_to_contain_text("Ulf Dahl")
    assert page.evaluate(CONTRASTS) == []

    narrow.fill("tem=harbour")
    page.keyboard.press("Enter")
    ask(page, "And who else?")
    expect(page.locator("#conversation")).to_contain_text("did you mean 'team'?", timeout=WAIT_MS)
    for name in ("harbour.md", "railway.md"):
        choose(page, name)
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Delete this document").click()
        expect(page.locator("#said")).to_contain_text(f"{name} is erased", timeout=WAIT_MS)


def test_a_thumb_is_kept_and_seen_in_use(watched: Watched, site: Site, tmp_path: Path) -> None:
    (tmp_path / "ferry.txt").write_text("The ferryman of Norholm is called Ulf Dahl.")
    page = watched.open("documents")
    bring(page, tmp_path / "ferry.txt")
    expect(page.locator("#said")).to_contain_text("passages", timeout=WAIT_MS)
    ask(page, "Who is the ferryman of Norholm?")
    expect(page.locator("#conversation")).to_contain_text("Ulf Dahl", timeout=WAIT_MS)
    page.locator("#source-1-1").wait_for()

    thanks = page.locator("#thanks")
    for thumb in ("Dislike", "Like"):
        page.locator("#conversation").get_by_label(thumb, exact=True).click()
        expect(thanks).to_contain_text("Kept", timeout=WAIT_MS)
    with sqlite3.connect(site.runs / "predictions.db") as database:
        until = time.monotonic() + WAIT_MS / 1000
        while database.execute("select good from verdicts").fetchall() != [(1,)]:
            assert time.monotonic() < until
            time.sleep(0.1)

    page.get_by_role("tab", name="In use").click()
    used = page.locator("#in-use")
    expect(used).to_contain_text("1 thumbs up", timeout=WAIT_MS)
    expect(used.get_by_role("img", name="time to answer, by day")).to_be_visible()
    seen = page.locator("#watching")  # of one answer
    expect(seen).to_contain_text("Nothing can be said yet", timeout=WAIT_MS)
    seen.locator("summary", has_text="What became of them").click()
    expect(seen).to_contain_text("run the first model of this system")
    assert page.evaluate(CONTRASTS) == []


def test_a_deleted_document_is_gone_from_the_page_and_the_disk(
    watched: Watched, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "keeper.txt").write_text(KEEPER.replace("Arnholm", "Sandholm"))
    page = watched.open("documents")
    bring(page, tmp_path / "keeper.txt")
    expect(page.locator("#said")).to_contain_text("passages", timeout=WAIT_MS)
    assert copies(site.temporary, "Sandholm is called") == []  # indexed, and not kept as a file
    ask(page, "Who is the lighthouse keeper of Sandholm?")
    mine = page.locator('details[data-document="keeper.txt"]')
    expect(mine.first).to_be_visible(timeout=WAIT_MS)

    choose(page, "keeper.txt")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete this document").click()
    expect(page.locator("#said")).to_contain_text("nothing is deleted", timeout=WAIT_MS)
    assert "keeper.txt" in site.client.get("/v1/systems/documents/documents").json()

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete this document").click()
    expect(page.locator("#said")).to_contain_text("is erased", timeout=WAIT_MS)
    expect(mine).to_have_count(0)
    assert "keeper.txt" not in site.client.get("/v1/systems/documents/documents").json()


def test_the_list_of_documents_is_that_of_now(watched: Watched, site: Site) -> None:
    watched.open("documents")
    content = {"file": ("brought-by-another.txt", KEEPER.encode())}
    assert site.client.post("/v1/systems/documents/documents", files=content).status_code == 201

    page = watched.open("documents")
    page.get_by_label("documents", exact=True).click()
    option = page.get_by_role("option", name="brought-by-another.txt")
    expect(option).to_be_visible(timeout=WAIT_MS)
    watched.errors.clear()  # leaving a page ends its event stream, which Chromium calls an error


def test_what_cannot_be_read_is_told_once_and_shortly(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 this is none")
    page = watched.open("documents")

    bring(page, tmp_path / "broken.pdf")

    said = page.locator("#said")
    expect(said).to_contain_text("not added", timeout=WAIT_MS)
    assert said.inner_text().count("broken.pdf") == 1
    assert "fix:" not in said.inner_text()


def test_an_example_fills_the_question(watched: Watched) -> None:
    page = watched.open("documents")
    example = page.locator(".gallery button, button.gallery-item").first
    example.click()
    question = page.locator("#question textarea, #question input")
    expect(question).not_to_have_value("", timeout=WAIT_MS)


def test_a_page_that_is_older_than_the_site_deletes_too(site: Site) -> None:
    documents = "/v1/systems/documents/documents"
    site.client.put(f"{documents}/older.txt", content=KEEPER.encode())
    (number,) = (e["id"] for e in config(site)["dependencies"] if e["api_name"] == "remove")

    said = join(site, number, ["older.txt", ""])  # of a visit that Gradio knows no list of

    assert "is erased" in said
    assert "older.txt" not in site.client.get(documents).json()


def test_what_browsers_send_back_is_read_in_no_time() -> None:
    from mlfolio.parts.text.markdown import plain
    from mlfolio.systems.documents.page import _as_said, _without

    hostile = ("[", "<details ", "<section>", "<section><details ", "</details>")
    started = time.monotonic()
    for text in hostile:
        assert _as_said(plain(text * 50_000)) == text * 50_000
        _without(text * 50_000, "a.md")
    assert time.monotonic() - started < 10
