"""Every format is read from real files, and every kind of broken file says why."""

from __future__ import annotations

import copy
import io
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from docx import Document as WordDocument
from hypothesis import given, settings
from hypothesis import strategies as st

from mlfolio.parts.retrieval import apart
from mlfolio.parts.retrieval.apart import parse_apart, parse_file
from mlfolio.parts.retrieval.blocks import Block, UnreadableError, decode
from mlfolio.parts.retrieval.formats import pdf
from mlfolio.parts.retrieval.formats.pdf import _dehyphenate
from mlfolio.parts.retrieval.parse import SUFFIXES, parse_bytes
from mlfolio.parts.retrieval.sync import Document

from .retrieval_tools import change_docx, make_docx, make_pdf, make_styled_pdf, packed_pdf

MARKDOWN = b"""---
title: x
---
# Guide {#top}

See the [manual](http://example.org/long/address).

## Pumps

- first item
- second *item*

| a | b |
|---|---|
| 1 | 2 |

```python
pump = 9
```
"""
RST = b"""Guide
=====

See :ref:`the manual <manual>` and ``code``.

Pumps
-----

.. note::

   A note is read.

.. code-block:: python

   pump = 9
"""
HTML = b"""<?xml version="1.0" encoding="utf-8"?><html><head><title>t</title>
<style>p{}</style></head>
<body><nav>Home</nav><h1>Guide</h1><p>See the <a href="x">manual</a>.</p><h2>Pumps</h2>
<ul><li>first item</li></ul><table><tr><td>1</td><td>2</td></tr></table>
<pre>pump = 9</pre><script>alert(1)</script><footer>(c)</footer></body></html>"""


def texts(blocks: list[Block]) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in blocks]


def test_markdown() -> None:
    blocks = parse_bytes("a.md", MARKDOWN)

    assert texts(blocks) == [
        ("label", "title=x"), ("heading", "Guide"), ("text", "See the manual."),
        ("heading", "Pumps"),
        ("item", "first item"), ("item", "second item"), ("table", "a | b"), ("table", "1 | 2"),
        ("code", "pump = 9"),
    ]  # fmt: skip
    assert [block.level for block in blocks if block.kind == "heading"] == [1, 2]


def test_restructured_text() -> None:
    assert texts(parse_bytes("a.rst", RST)) == [
        ("heading", "Guide"), ("text", "See the manual and code."), ("heading", "Pumps"),
        ("text", "A note is read."), ("code", "   pump = 9"),
    ]  # fmt: skip


def test_html_without_its_furniture() -> None:
    assert texts(parse_bytes("a.html", HTML)) == [
        ("heading", "Guide"), ("text", "See the manual."), ("heading", "Pumps"),
        ("item", "first item"), ("table", "1 | 2"), ("code", "pump = 9"),
    ]  # fmt: skip


def test_line_breaks_of_html_part_words() -> None:
    page = (
        "<h1>Pumps<br>and valves</h1><p>Main Street 1<br>12345 Bonn<br/>H<sub>2</sub>O</p>"
        "Loose 1<br>23<table><tr><td>one<br>two</td><td><p>a</p><p>b</p></td></tr></table>"
        "<ul><li><div>x</div><div>y</div></li></ul><pre>a = 1<br>b = <b>2</b></pre>"
    )

    assert texts(parse_bytes("a.html", page.encode())) == [
        ("heading", "Pumps and valves"), ("text", "Main Street 1 12345 Bonn H2O"),
        ("text", "Loose 1 23"), ("table", "one two | a b"), ("item", "x y"),
        ("code", "a = 1\nb = 2"),
    ]  # fmt: skip


def test_html_in_markdown() -> None:
    text = (
        "<!--\nCopyright.\n\nInternal.\n-->\n\n"
        "Main Street 1<br>12345 Bonn <!-- one --> H<sub>2</sub>O <script>alert(1)</script>end.\n\n"
        "| a |\n|---|\n| 10<br/>20 |\n| <ul><li>x</li><li>y</li></ul> |\n\n"
        "<script>\nvar secret = 1;\n</script>\n\n"
        "<style>\np { color: red }\n</style>\n\n<!-- b --> Bold <!-- c -->\n\n"
        "<div>\n<b>S</b>mall <!-- of\nno use --> print\n</div>\n\n"
        "<Script src='a.js' />\n\nThe end.\n"
    )

    assert texts(parse_bytes("a.md", text.encode())) == [
        ("text", "Main Street 1 12345 Bonn H2O end."), ("table", "a"), ("table", "10 20"),
        ("table", "x y"), ("text", "Bold"), ("text", "Small print"), ("text", "The end."),
    ]  # fmt: skip


DIRECTIVES = """\
.. tab-set::

   .. tab-item:: Linux
      :sync: linux

      Run it as root.

.. py:function:: start(pump)
   :no-index:

   Starts the pump.

   :returns: Nothing.

.. csv-table:: Prices
   :header: a, b

   valve, 20 euros

.. Note:: A note that
   goes on.

.. figure:: pump.png
   :alt: A pump,
      seen from above

   The pump.

As said [1]_.

.. [1] The footnote
   says forty.

.. code-block:: python
   :linenos:

   x = 1

.. toctree::

   other

.. image:: a.png
   :alt: no

.. raw:: html

   <b>no</b>

.. A comment,
   its second line.

   And its end.

..
   Another.

.. [2]
   On its own line.

..

   Quoted.

.. _target: http://example.org
.. |name| replace:: no
"""


def test_directives_of_restructured_text() -> None:
    assert texts(parse_bytes("a.rst", DIRECTIVES.encode())) == [
        ("text", "Linux"), ("text", "Run it as root."), ("text", "start(pump)"),
        ("text", "Starts the pump."), ("text", ":returns: Nothing."), ("text", "Prices"),
        ("text", "valve, 20 euros"), ("text", "A note that goes on."), ("text", "The pump."),
        ("text", "As said [1]_."), ("text", "The footnote says forty."), ("code", "   x = 1"),
        ("text", "On its own line."), ("text", "Quoted."),
    ]  # fmt: skip


def test_word(tmp_path: Path) -> None:
    assert texts(parse_file(make_docx(tmp_path / "a.docx"))) == [
        ("heading", "Guide"), ("heading", "Pumps"),
        ("text", "The blue pump starts at nine bars."), ("table", "valve | shut"),
    ]  # fmt: skip


def test_code_in_markdown_is_left_as_it_is() -> None:
    text = (
        "::: my.module\n\nBefore.\n\n```rust\n/// Adds.\nlet v: Vec<int>;\n<!-- x -->\n```\n\n"
        "/// note\n\nAfter `Vec<int>`.\n"
    )

    assert texts(parse_bytes("a.md", text.encode())) == [
        ("text", "Before."), ("code", "/// Adds.\nlet v: Vec<int>;\n<!-- x -->"),
        ("text", "After Vec<int>."),
    ]  # fmt: skip


def test_initials_are_no_list_items() -> None:
    assert texts(parse_bytes("a.rst", b"A. Einstein wrote.\n\n1. One\n2. Two\n")) == [
        ("text", "A. Einstein wrote."), ("item", "One"), ("item", "Two"),
    ]  # fmt: skip


def test_a_page_inside_a_form_is_read() -> None:
    page = b"<form><label>Find</label><input value='x'><button>Go</button><p>The pool.</p></form>"

    assert texts(parse_bytes("a.html", page)) == [("text", "Find"), ("text", "The pool.")]


def test_all_articles_of_a_page_are_read() -> None:
    article = "<article><p>Number {} tells of pumps and valves" + " again" * 20 + ".</p></article>"
    page = "<body><p>Menu</p>" + "".join(article.format(n) for n in "123") + "</body>"

    found = [text.split()[1] for _, text in texts(parse_bytes("a.html", page.encode()))]

    assert found == ["1", "2", "3"]


def test_merged_cells_of_word(tmp_path: Path) -> None:
    document = WordDocument()
    table = document.add_table(rows=3, cols=3)
    for row, cells in enumerate(["abc", "def", "ghh"]):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    table.cell(1, 0).merge(table.cell(2, 0)).text = "d"
    table.cell(0, 1).merge(table.cell(0, 2)).text = "b"
    document.save(str(tmp_path / "a.docx"))

    assert [text for _, text in texts(parse_file(tmp_path / "a.docx"))] == [
        "a | b", "d | e | f", "d | h | h",
    ]  # fmt: skip


def test_all_that_a_word_document_shows(tmp_path: Path) -> None:
    def run(text: str, tag: str = "t") -> str:
        return f"<w:r><w:{tag}>{text}</w:{tag}></w:r>"

    def control(content: str) -> str:
        return f"<w:sdt><w:sdtContent>{content}</w:sdtContent></w:sdt>"

    def row(*cells: str) -> str:
        return f"<w:tr>{''.join(f'<w:tc>{cell}</w:tc>' for cell in cells)}</w:tr>"

    def para(content: str) -> str:
        return f"<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr>{content}</w:p>"

    box = f"<w:txbxContent>{para(run('Boxed.'))}</w:txbxContent>"
    nested = f"<w:tbl>{row(para(run('x')), para(run('y')))}</w:tbl>"
    body = [
        control(para(run("Controlled."))),
        para(
            run("Fee: ") + f"<w:ins>{run('500')}</w:ins><w:del>{run('400', 'delText')}</w:del>"
            f"<w:moveFrom>{run('300')}</w:moveFrom><w:r><w:tab/></w:r>" + control(run("euros"))
            + f"<w:r><w:br/></w:r><w:hyperlink>{run('a year')}</w:hyperlink>"
        ),
        para(
            run("Anchor.") + f"<w:r><mc:AlternateContent><mc:Choice>{box}</mc:Choice>"
            f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r>"
        ),
        "<w:tbl>" + row(para(run("before")) + nested + para(run("after")), control(para(run("b"))))
        + control(row(para(run("c")), para(run("d")))) + "</w:tbl>",
    ]  # fmt: skip
    whole = make_docx(tmp_path / "a.docx")
    with zipfile.ZipFile(whole) as package:
        main = package.read("word/document.xml").decode()
    main = main.replace("<w:body>", "<w:body>" + "".join(body))
    path = change_docx(whole, tmp_path / "b.docx", {"word/document.xml": main.encode()})

    assert texts(parse_file(path))[:6] == [
        ("text", "Controlled."), ("text", "Fee: 500 euros a year"), ("text", "Anchor."),
        ("text", "Boxed."), ("table", "before x | y after | b"), ("table", "c | d"),
    ]  # fmt: skip


def test_pdf_knows_its_pages_and_headings(tmp_path: Path) -> None:
    pages = [["Pumps", "The blue pump starts at nine bars."], ["2 Valves", "A valve is shut."]]

    blocks = parse_file(make_pdf(tmp_path / "a.pdf", pages))

    assert texts(blocks) == [
        ("heading", "Pumps"), ("text", "The blue pump starts at nine bars."),
        ("heading", "2 Valves"), ("text", "A valve is shut."),
    ]  # fmt: skip
    assert [block.page for block in blocks] == [1, 1, 2, 2]


def test_pdf_headings_are_in_larger_fonts(tmp_path: Path) -> None:
    fire = [
        ("Helvetica-Bold", 20, "The great"), ("Helvetica-Bold", 20, "fire"),
        ("Helvetica", 11, "A fire destroyed the east wing"), ("Helvetica", 11, "of the house."),
        ("Helvetica", 14, "What is left?"), ("Helvetica", 11, "Not very much."),
    ]  # fmt: skip

    blocks = parse_file(make_styled_pdf(tmp_path / "a.pdf", [fire]))

    assert texts(blocks) == [
        ("heading", "The great fire"),
        ("text", "A fire destroyed the east wing of the house."),
        ("heading", "What is left?"), ("text", "Not very much."),
    ]  # fmt: skip
    assert [block.level for block in blocks] == [1, 0, 2, 0]


def test_pdf_headings_are_bold_where_little_is(tmp_path: Path) -> None:
    body = [("Times-Roman", 11, f"Text number {n} tells of pumps and of valves.") for n in range(9)]
    bold = [("Times-Bold", 11, text) for text in ("Blue pumps", "Do not touch them.", "nor this")]
    lines = [bold[0], *body, bold[1], *body, bold[2], *body]

    one = texts(parse_file(make_styled_pdf(tmp_path / "a.pdf", [lines])))
    all_bold = [("Times-Bold", size, text) for _, size, text in lines]
    other = texts(parse_file(make_styled_pdf(tmp_path / "b.pdf", [all_bold])))

    assert [text for kind, text in one if kind == "heading"] == ["Blue pumps"]
    assert not [text for kind, text in other if kind == "heading"]


def test_pdf_text_above_long_footnotes_is_no_heading(tmp_path: Path) -> None:
    body = [("Helvetica", 11, f"The body of the text, line {n} of it") for n in range(8)]
    notes = [("Helvetica", 8, f"A footnote, number {n}, tells of pumps.") for n in range(20)]

    found = texts(parse_file(make_styled_pdf(tmp_path / "a.pdf", [[*body, *notes]] * 2)))

    assert not [text for kind, text in found if kind == "heading"]


def test_pdf_joins_words_and_drops_headers(tmp_path: Path) -> None:
    pages = [["ACME report", f"Chapter {n} tells of the photo-", "graphs of it.", f"Page {n}"]
             for n in "abcd"]  # fmt: skip

    found = texts(parse_file(make_pdf(tmp_path / "a.pdf", pages)))

    assert ("text", "Chapter a tells of the photographs of it. Page a") in found
    assert not [text for _, text in found if "ACME" in text]


def test_pdf_rows_and_numbers_are_no_furniture(tmp_path: Path) -> None:
    row = "Payment {:04} of {}.00 EUR on {:02}.03.2024"
    payments = [row.format(n, n % 9, n % 28 + 1) for n in range(120)]
    statement = [payments[at : at + 30] for at in range(0, 120, 30)]
    column = [[str(1000 + n * n) for n in range(at, at + 9)] for at in range(0, 36, 9)]
    invoice = [["Invoice of Acme", "Pumps ordered", "12", "Price in euros", "480"]]
    copies = [["Keep cool", "Do not drop"]] * 3

    for pages in (statement, column, invoice, copies):
        blocks = parse_file(make_pdf(tmp_path / "a.pdf", pages))
        assert " ".join(block.text for block in blocks) == " ".join(
            line for page in pages for line in page
        )


@pytest.mark.parametrize(
    "number",
    [
        "{}",
        "- {} -",
        "Page {} of 12",
        "Annual report 2024 - {}",
        "{} | Acme, 3 Main Street",
        "Acme | Page {} of 12 | Secret",
    ],
)
def test_pdf_page_numbers_are_furniture(tmp_path: Path, number: str) -> None:
    pages = [
        [f"Chapter {name}", f"Of pump {name}.", "17", f"It has {n} valves.", number.format(n + 2)]
        for n, name in enumerate("abcd")
    ]

    blocks = parse_file(make_pdf(tmp_path / "a.pdf", pages))

    assert [block.text for block in blocks if block.kind == "text"] == [
        text
        for n, name in enumerate("abcd")
        for text in (f"Of pump {name}.", f"17 It has {n} valves.")
    ]


def test_pdf_headings_that_count_are_no_page_numbers(tmp_path: Path) -> None:
    pages = [
        [("Helvetica-Bold", 20, f"Day {n}"), ("Helvetica", 11, f"We are in {town}.")]
        for n, town in enumerate(("Bonn", "Rome", "Oslo", "Riga"), start=1)
    ]

    blocks = parse_file(make_styled_pdf(tmp_path / "a.pdf", pages))

    assert texts(blocks)[:2] == [("heading", "Day 1"), ("text", "We are in Bonn.")]
    assert len(blocks) == 8


def test_pdf_page_numbers_may_stand_on_few_pages(tmp_path: Path) -> None:
    pages = [[f"Chapter {name}", f"Of pump {name}."] for name in "abcdefgh"]
    for n in (1, 4, 6):
        pages[n].append(str(n - 1))

    blocks = parse_file(make_pdf(tmp_path / "a.pdf", pages))

    assert [block.text for block in blocks if block.kind == "text"] == [
        f"Of pump {name}." for name in "abcdefgh"
    ]


def test_plain_text() -> None:
    assert texts(parse_bytes("a.txt", "Überall\nregnet es.\r\n\r\n東京".encode())) == [
        ("text", "Überall regnet es."), ("text", "東京"),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_recognised(encoding: str) -> None:
    text = "Die Größe der Straße ist für uns ausschließlich über die Brücke messbar."

    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.md", b"", "empty"),
        ("a.txt", b" \n\t ", "empty"),
        ("a.md", b"# Only a heading\n", "no text"),
        ("a.xlsx", b"data", r"\.xlsx is not a format"),
        ("a", b"data", "no suffix"),
        ("a.pdf", b"hello", "its content is not"),
        ("a.docx", b"hello", "its content is not"),
        ("a.docx", b"PK\x03\x04 no zip", "damaged word file"),
        ("a.docx", b"\xd0\xcf\x11\xe0rest", "encrypted or old Word"),
        ("a.txt", b"\x7fELF\x00\x00", "binary content"),
        ("a.html", b"<html><body></body></html>", "no text"),
        ("a.html", b"<html><body><pre>   </pre></body></html>", "no text"),
    ],
)
def test_unreadable_files_say_why(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason) as raised:
        parse_bytes(name, data)
    assert raised.value.fix


def test_encrypted_pdf(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="encrypted: it asks for a password"):
        parse_file(make_pdf(tmp_path / "a.pdf", [["secret text"]], password="horse"))


def test_scanned_pdf(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no text in its 2 pages: a scan"):
        parse_file(make_pdf(tmp_path / "a.pdf", [[], []]))


def test_pages_without_text_are_told(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [[], ["Pumps", "The blue pump."], []])

    document = Document.of_file(path, "a.pdf")

    assert document.blank_pages == [1, 3]
    assert texts(document.blocks) == [("heading", "Pumps"), ("text", "The blue pump.")]


def test_many_threads_read_pdfs(tmp_path: Path) -> None:
    pages = [[f"The pump {a} and valve {b}." for a in "abcdefgh"] for b in "abcd"]
    path = make_pdf(tmp_path / "a.pdf", pages)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(parse_file, [path] * 80))

    assert all(blocks == found[0] for blocks in found)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_truncated_pdf(tmp_path: Path, share: float) -> None:
    whole = make_pdf(tmp_path / "a.pdf", [["The blue pump."] * 20] * 5).read_bytes()

    try:
        blocks = parse_bytes("a.pdf", whole[: int(len(whole) * share)])
    except UnreadableError as error:
        assert "cut short" in str(error) or "no text" in str(error)
    else:
        assert all("pump" in block.text for block in blocks if block.kind != "blank")


def test_truncated_word(tmp_path: Path) -> None:
    whole = make_docx(tmp_path / "a.docx").read_bytes()

    with pytest.raises(UnreadableError, match="damaged word file"):
        parse_bytes("a.docx", whole[: len(whole) // 2])


def test_zip_that_is_no_word_document(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("hello.txt", "hello")

    with pytest.raises(UnreadableError, match="no Word document"):
        parse_file(tmp_path / "a.docx")


def test_a_word_document_that_unpacks_to_too_much(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (51 * 2**20))

    with pytest.raises(UnreadableError, match="over 50 MB"):
        parse_file(tmp_path / "a.docx")


def test_a_bomb_under_another_name(tmp_path: Path) -> None:
    whole = make_docx(tmp_path / "a.docx")
    with zipfile.ZipFile(whole) as package:
        types, links = (package.read(n) for n in ("[Content_Types].xml", "_rels/.rels"))
        main = package.read("word/document.xml")
    bomb = main.replace(b"<w:body>", b"<w:body>" + b"<w:p/>" * 9_000_000)
    evil = change_docx(
        whole, tmp_path / "evil.docx",
        {
            "[Content_Types].xml": types.replace(b"/word/document.xml", b"/word/evil.bin"),
            "_rels/.rels": links.replace(b"word/document.xml", b"word/evil.bin"),
            "word/evil.bin": bomb,
        },
    )  # fmt: skip
    started = time.perf_counter()

    with pytest.raises(UnreadableError, match="one of its parts to over 50 MB"):
        parse_file(evil)

    assert evil.stat().st_size < 200_000
    assert time.perf_counter() - started < 5
    many = change_docx(
        whole, tmp_path / "b.docx", {f"word/media/{n}.png": b"" for n in range(10_001)}
    )
    with pytest.raises(UnreadableError, match="over 10,000 parts"):
        parse_file(many)


def test_entities_of_a_word_document_are_not_expanded(tmp_path: Path) -> None:
    whole = make_docx(tmp_path / "a.docx")
    with zipfile.ZipFile(whole) as package:
        main = package.read("word/document.xml")
    names = "abcdefghij"
    laughs = '<!ENTITY a "hahaha">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 30}">' for a, b in pairwise(names)
    )
    main = main.replace(b"?>", f"?><!DOCTYPE x [{laughs}]>".encode(), 1)
    main = main.replace(b"The blue pump", b"The blue &j; pump")
    bomb = change_docx(whole, tmp_path / "b.docx", {"word/document.xml": main})

    try:
        blocks = parse_file(bomb)
    except UnreadableError as error:
        assert "damaged word file" in error.message
    else:
        assert "haha" not in str(blocks)


def test_a_pdf_that_unpacks_to_too_much(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.pdf"
    bomb.write_bytes(packed_pdf(b"0 0 1 1 re f " * 5_000_000))
    assert bomb.stat().st_size < 200_000

    with pytest.raises(UnreadableError, match="over 1,024 MB of memory, or crashes its reader"):
        parse_file(bomb)

    assert parse_file(make_pdf(tmp_path / "a.pdf", [["Pumps", "They are blue."]])), "it goes on"


def test_a_pdf_of_too_many_pages() -> None:
    with pytest.raises(UnreadableError, match="5,001 pages are over 5,000"):
        parse_apart("a.pdf", packed_pdf(b"BT /F 9 Tf (The pump) Tj ET", pages=5_001))


def test_a_pdf_of_too_many_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_CHARACTERS", 1_000)
    data = packed_pdf(b"BT /F 9 Tf (The pump starts at nine bars) Tj ET", pages=50)

    with pytest.raises(UnreadableError, match="over 1,000 characters"):
        parse_bytes("a.pdf", data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"a" * 10_000_001), ("a.txt", b"a\n\n" * 200_001),
        ("a.html", b"<p>a" * 200_001), ("a.rst", b"- a\n" * 200_001),
    ],
)  # fmt: skip
def test_too_much_text(name: str, data: bytes) -> None:
    with pytest.raises(UnreadableError, match="over 10,000,000 characters or 200,000 paragraphs"):
        parse_apart(name, data)


def test_memory_is_bounded_for_every_format() -> None:
    with pytest.raises(UnreadableError, match="over 1,024 MB of memory"):
        parse_apart("a.rst", b"word " * 12_000_000)


# libxml2 compares each attribute with all before it.
ATTRIBUTES = b"<p " + b" ".join(b"a%d=1" % n for n in range(300_000)) + b">x"


@pytest.mark.slow
def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS", 1)
    with pytest.raises(UnreadableError, match="reading it takes over 3 seconds"):
        parse_apart("a.html", ATTRIBUTES)
    monkeypatch.setattr(apart, "SECONDS", 30)
    monkeypatch.setattr(apart, "PATIENCE", 0.5)
    with pytest.raises(UnreadableError, match=r"reading it takes over 0\.5 seconds"):
        parse_apart("a.html", ATTRIBUTES)


def test_a_reader_that_was_killed_is_replaced() -> None:
    assert parse_apart("a.txt", b"The blue pump.")
    for reader in apart._idle:
        reader._process.kill()
        reader._process.wait()

    assert texts(parse_apart("a.txt", b"The green valve.")) == [("text", "The green valve.")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.rst", ".. note::\n" * 200_000 + "x"), ("a.rst", "- a\n" * 100_000),
        ("a.html", "<blockquote>" * 200 + "<p>x</p>" * 5_000), ("a.md", "[" * 20_000),
        ("a.rst", ":" * 100_000), ("a.rst", ":a:`x" + " " * 100_000 + "y"),
        ("a.rst", "`a" + " " * 100_000), ("a.md", "---" + "\n" * 100_000 + "x"),
        ("a.md", "x\n\n# " + "{#" * 50_000), ("a.md", "x\n\n<p>" + "<!--" * 50_000),
        ("a.md", "x\n\n" + "<script>\n" + "</script" * 50_000),
        ("a.md", "x\n\n" + "<script></script><!---->" * 20_000),
    ],
    ids=lambda value: value[:5],  # an id may be no megabyte
)  # fmt: skip
def test_hostile_text_takes_no_time(name: str, text: str) -> None:
    started = time.process_time()

    assert parse_bytes(name, text.encode())

    assert time.process_time() - started < 15  # what is quadratic takes minutes


def test_a_hostile_pdf_line_takes_no_time() -> None:
    started = time.perf_counter()

    assert _dehyphenate("a" * 100_000 + " photo-\ngraph", set()).endswith("a photograph")

    assert time.perf_counter() - started < 5


@pytest.mark.slow
def test_a_long_word_document_takes_no_time() -> None:
    document = WordDocument()
    for _ in range(3_000):
        document.add_paragraph("x", "List Bullet")
    table = document.add_table(rows=2, cols=1)
    table.cell(0, 0).merge(table.cell(1, 0)).text = "merged"
    for _ in range(2_000):
        table._tbl.append(copy.deepcopy(table._tbl.tr_lst[1]))
    file = io.BytesIO()
    document.save(file)
    started = time.perf_counter()

    blocks = parse_bytes("a.docx", file.getvalue())

    assert time.perf_counter() - started < 5
    assert texts(blocks)[::3000] == [("item", "x"), ("table", "merged")]


@settings(max_examples=150)
@given(st.sampled_from(sorted(SUFFIXES)), st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(suffix: str, data: bytes) -> None:
    try:
        blocks = parse_bytes(f"a{suffix}", data)
    except UnreadableError as error:
        assert error.message
    else:
        assert any(block.text for block in blocks)


@settings(max_examples=100)
@given(
    st.sampled_from([".md", ".rst", ".html", ".txt"]),
    st.text(alphabet="=-#*`|[]<>&:._~ \n\tabcÄ東", max_size=300),
)
def test_any_markup_is_read_or_refused(suffix: str, text: str) -> None:
    try:
        parse_bytes(f"a{suffix}", text.encode())
    except UnreadableError as error:
        assert "damaged" not in error.message, "a reader of ours failed"
