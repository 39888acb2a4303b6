"""Files of JSON lines, as people and programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlfolio.core.errors import FileError
from mlfolio.parts.retrieval.json_lines import read_json_lines
from mlfolio.parts.retrieval.questions import read_questions


def test_a_line_ends_where_the_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('\ufeff{"question": "a\u2028b", "document": "x.md"}\r\n\n', "utf-8")

    _, (question,) = read_questions(path)

    assert question.text == "a\u2028b", "not every separator of lines is one"


@pytest.mark.parametrize("line", ["[" * 100_000, "[1]", '{"b": 1}', "{"])
def test_a_wrong_line_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n', "utf-8")
    seen: list[Any] = []

    with pytest.raises(FileError, match=r"rows\.jsonl, line 2: .* is no row") as caught:
        read_json_lines(path, lambda row: seen.append(row["a"]), "row", '{"a": 1}')

    assert seen == [1]
    assert caught.value.fix == 'write {"a": 1} on each line'
