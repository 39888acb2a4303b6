"""YAML of strangers: small, plain, and every fault with its line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mlfolio.core.errors import FileError
from mlfolio.data.strict_yaml import MAX_BYTES, Part, read_yaml


class Item(Part):
    name: str
    price: float = 1.0
    tags: tuple[str, ...] = ()


class Shop(Part):
    items: dict[str, Item]
    open: bool = False


GOOD = """
items:
  pear: {name: no, price: 2}
  plum:
    name: '1.10'
    tags: [yes, 'null', 3]
    price:
"""


def read(tmp_path: Path, text: str | bytes) -> Shop:
    path = tmp_path / "shop.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path, Shop)


def test_values_are_texts_until_a_model_says_otherwise(tmp_path: Path) -> None:
    shop = read(tmp_path, "\ufeff" + GOOD + "open: yes\n")
    assert shop.items["pear"].name == "no"
    assert shop.items["plum"].name == "1.10"
    assert shop.items["plum"].tags == ("yes", "null", "3")
    assert (shop.items["plum"].price, shop.open) == (1.0, True)


BOMB = "a: &a [x, x]\n" + "".join(f"{n}: &{n} [*a, *a]\n" for n in "bcdefghij")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("items:\n  pear: {nam: x}\n",
         "line 2, items.pear.nam: there is no field 'nam'; did you mean 'name'?"),
        ("item: {}\n", "line 1, item: there is no field 'item'; did you mean 'items'?"),
        ("items:\n  pear:\n    name: x\n    price: much\n",
         "line 4, items.pear.price: Input should be a valid number"),
        ("items:\n  pear: {}\n  plum: {}\n", "line 3, items.plum.name: is missing"),
        ("items: [1, 2]\n", "line 1, items: Input should be a valid dictionary"),
        ("items: {pear: {name: {a: b}}}", "items.pear.name: Input should be a valid string"),
        ("- items\n", "line 1, the file"),
        ("just words", "line 1, the file"),
        ("", "line 1, items: is missing"),
        ("# only a comment", "items: is missing"),
        ("items:\n\tpear: x\n", "line 2"),
        ("items: {pear: [}\n", "line 1"),
        ("items: {}\nitems: {}\n", "line 2: 'items' is there twice"),
        ("items:\n  pear: &x {name: a}\n", "line 2: an anchor or alias ('x')"),
        (BOMB, "line 1: an anchor or alias"),
        ("items: *x\n", "anchor or alias ('x')"),
        ("items: !!python/object/apply:os.system ['true']\n", "line 1: a tag"),
        ("items: !mine {}\n", "a tag"),
        ("? [a, b]\n: c\n", "a key that is no text"),
        ("--- {}\n--- {}\n", "but found another document"),
        ("[" * 100_000, "nested more than"),
        ("a: " * 3, "line 1"),
        ("{a: " * 5000, "nested more than"),
        (b"items: {pear: {name: \xff}}", "line 1: is not UTF-8"),
        (b"items: \x00", "YAML"),
        ("x" * (MAX_BYTES + 1), "more than 2,000,000 bytes"),
    ],
    ids=range(26),
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    started = time.process_time()
    with pytest.raises(FileError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert "\n  fix: " in str(caught.value)
    assert time.process_time() - started < 3


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        read(tmp_path, "items:\n  a: {nam: x}\n  b: {name: [x]}\n  c: {name: x, price: x}\n")
    assert all(f"line {line}" in str(caught.value) for line in (2, 3, 4))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml", Path("/dev/zero")):
        with pytest.raises(FileError, match="there is no file"):
            read_yaml(path, Shop)


def test_a_large_file_is_read_in_time(tmp_path: Path) -> None:
    rows = "".join(f"  item {n}: {{name: x{n}, tags: [a, b, c]}}\n" for n in range(10_000))
    started = time.process_time()
    assert len(read(tmp_path, f"items:\n{rows}").items) == 10_000
    assert time.process_time() - started < 20
