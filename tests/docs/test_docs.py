"""The documentation is true: its tables, its tests, its links and its every code block."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from mlfolio.core.catalog import SYSTEMS, get_system
from mlfolio.monitor.policy import read_policies
from mlfolio.systems.chatbot.desk import read_desk
from mlfolio.systems.chatbot.stories import read_stories
from mlfolio.systems.masks import sample as people
from mlfolio.systems.segments import data as shop
from mlfolio.systems.sentiment import sample as films
from mlfolio.systems.stocks import sample as prices
from mlfolio.systems.titanic.data import generate
from tests.conftest import Cli, quick
from tests.postgres import free_port
from tests.till import purchases

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("src/mlfolio/systems/*/README.md"),
    ]
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[tuple[str, str]]:
    """Name of the page and text of each block in a language."""
    return [
        (page.relative_to(ROOT).as_posix(), text)
        for page in PAGES
        for found, text in BLOCK.findall(page.read_text("utf-8"))
        if found == language
    ]


def test_every_block_is_of_a_language_that_is_run() -> None:
    found = {language for page in PAGES for language, _ in BLOCK.findall(page.read_text("utf-8"))}
    known = {"python", "sh", "yaml", "console"}
    assert found <= known, "tell the language: every block is run or read"


def test_console_blocks_name_files_that_exist() -> None:
    """They need Docker or a cluster, so they are only read."""
    made = ("deploy/secrets", "deploy/.env")
    for page, text in blocks("console"):
        for line in text.splitlines():
            tools = {"docker", "kubectl", "mkdir", "echo", "openssl", "touch"}
            assert line.split()[0] in tools, (page, line)
            for place in re.findall(r"(?<![\w/])deploy/[\w./]+", line):
                assert place.startswith(made) or (ROOT / place).exists(), (page, place)


def test_yaml_blocks_are_desks_stories_or_policies(tmp_path: Path) -> None:
    kinds: dict[str, Callable[[Path], object]] = {
        "stories:": read_stories, "# policy.yaml": read_policies,
    }  # fmt: skip
    assert blocks("yaml")
    for number, (_, text) in enumerate(blocks("yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, "utf-8")
        kinds.get(text.partition("\n")[0], read_desk)(path)


def test_readme_tables_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "readme.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_every_system_has_its_page_and_results() -> None:
    for name in SYSTEMS:
        folder = ROOT / "src" / "mlfolio" / "systems" / name.replace("-", "_")
        assert (folder / "README.md").is_file()
        assert (folder / "results.json").is_file()
        assert (ROOT / "docs" / "systems" / f"{name}.md").is_file()


def test_results_are_official_and_reach_their_targets() -> None:
    """Or the system's README says in so many words what does not."""
    for name in SYSTEMS:
        folder = ROOT / "src" / "mlfolio" / "systems" / name.replace("-", "_")
        path = folder / "results.json"
        found = json.loads(path.read_text("utf-8"))
        assert found["source"] == "official"
        page = " ".join((folder / "README.md").read_text("utf-8").split())
        for score in found["scores"]:
            says_so = f"The {score['name']} falls short of its target" in page
            assert (score["met"] is False) == says_so, (name, score["name"])


def test_footguns_name_tests_that_exist() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "footguns.md").read_text("utf-8"))
    assert len(named) > 10
    for name in named:
        assert f"def {name}(" in code, name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_blocks_run(home: Path, page: str, text: str) -> None:
    done = subprocess.run([sys.executable, "-c", text], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def prepare(folder: Path) -> None:
    """The files that the pages speak of, with content of our own."""
    from PIL import Image
    from sklearn.datasets import load_digits, load_iris

    flowers = load_iris(as_frame=True)
    columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    table = flowers.data.set_axis(columns, axis=1)
    table.assign(species=flowers.target_names[flowers.target]).to_csv(folder / "flowers.csv")
    ship = generate(400, seed=11)
    ship.to_csv(folder / "train.csv", index=False)
    ship.to_parquet(folder / "big.parquet")
    rng = np.random.default_rng(0)
    churn = generate(300, seed=12)[["Age", "Fare", "Embarked"]].assign(
        months=rng.integers(1, 60, 300)
    )
    churned = np.where(rng.random(300) < 1 / (1 + np.exp(churn["months"] / 10 - 3)), "yes", "no")
    churn.assign(churned=churned).to_csv(folder / "my.csv", index=False)
    churn.head(20).to_csv(folder / "new.csv", index=False)
    purchases(60).to_csv(folder / "purchases.csv", index=False)
    customers = shop.generate(60).rename(columns={"visits per month": "visits"})
    customers.rename(columns={"basket in EUR": "basket"}).to_csv(folder / "customers.csv")
    (folder / "papers").mkdir()
    for topic, fact in {
        "warranty": "The warranty covers the motor and the pump for three years after delivery.",
        "cleaning": "The filter has to be cleaned with warm water every second week.",
        "transport": "For transport, drain the tank and lock the lid with the red screw.",
    }.items():
        (folder / "papers" / f"{topic}.md").write_text(f"# The {topic}\n\n{fact}\n", "utf-8")
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:400], digits.target, strict=False)):
        (folder / "folder" / str(label)).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray((pixels * 15.9).astype(np.uint8)).resize((28, 28))
        picture.save(folder / "folder" / str(label) / f"{number}.png")
    reviews = pd.DataFrame({"text": [text for text, _ in films.generate(20)]})
    reviews.to_csv(folder / "reviews.csv", index=False)
    prices.unforeseeable(600).frame.to_csv(folder / "prices.csv", index=False)
    picture.save(folder / "photo.png")
    picture.save(folder / "my.png")
    film_people(folder)
    (folder / "policy.yaml").write_text("iris: {mode: suggest, retrain: {every: 30}}\n", "utf-8")
    (folder / "my_digits").symlink_to(folder / "folder")
    (folder / "my_pictures").symlink_to(folder / "folder")
    (folder / "my-folder").symlink_to(folder / "papers")


def film_people(folder: Path) -> None:
    """Drawn people: a film, and folders of faces with and without masks."""
    import cv2
    from PIL import Image

    size, code = (people.WIDE, people.HIGH), cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(folder / "film.mp4"), cv2.CAP_FFMPEG, code, 10.0, size)
    picture = people.draw_scene(2, np.random.default_rng(3))[0]
    for _ in range(5):
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()
    pixels, kinds = people.draw_faces(40)
    for number, (face, kind) in enumerate(zip(pixels[:60], kinds, strict=False)):
        place = folder / "faces" / ("with_mask", "without_mask")[kind]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(place / f"{number}.png")


ON_RAY = (  # it warns of itself
    pytest.mark.alone,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=ON_RAY if page == "docs/many-machines.md" else ())
        for page in dict.fromkeys(page for page, _ in blocks("sh"))
    ],
)
def test_shell_blocks_run(
    page: str, cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A page's `mlfolio` lines are run in order; `make` and `pip` lines must name what exists."""
    prepare(home)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing is fetched
    port = 0
    for line in "".join(text for name, text in blocks("sh") if name == page).splitlines():
        words = shlex.split(line.replace("~/", f"{home}/"), comments=True)
        if not words:
            continue
        if words[:2] == ["mlfolio", "serve"]:
            port = free_port()
            server = start_server(words[2:], port, home)
            request.addfinalizer(lambda running=server: stop_server(running))
        elif words[0] == "curl":
            words = [word.replace("127.0.0.1:8000", f"127.0.0.1:{port}") for word in words]
            done = subprocess.run([*words, "-sf"], capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            assert "predictions" in done.stdout
        elif words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text("utf-8"), line
        elif words[0] == ".venv/bin/pip":
            assert words[1:-1] == ["install", "-c", "constraints.txt", "-e"], line
            project = (ROOT / "pyproject.toml").read_text("utf-8")
            assert f"\n{words[-1][2:-1]} = [" in project, line
        else:
            assert words[0] == "mlfolio", line
            outcome = cli(*words[1:], *unsaid(words))
            assert outcome.code == 0, f"{line}\n{outcome.out}{outcome.err}"


def unsaid(words: list[str]) -> list[str]:
    """What is added to `mlfolio run` so that it takes seconds, but for knobs that the line has."""
    if words[1] != "run":
        return []
    said = {word.partition("=")[0] for word in words}
    knobs = quick(get_system(words[2]))
    return [f"{name}={value}" for name, value in knobs.items() if name not in said]


def start_server(options: list[str], port: int, folder: Path) -> subprocess.Popen[bytes]:
    """`mlfolio serve` on another port, once it is ready."""
    command = [sys.executable, "-m", "mlfolio", "serve", *options, "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    for _ in range(600):
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return process
        assert process.poll() is None, "the server did not start"
        time.sleep(0.1)
    raise AssertionError("the server was not ready in a minute")


def stop_server(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)
