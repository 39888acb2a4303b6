"""The loop, shown: six simulated months of a telephone company in minutes, on loopback alone.

    make loop
    python tools/loop.py FOLDER

Made-up customers ask a real server, which is watched, trained and released by itself. Prices rise,
a feed breaks, a competitor takes away whom nobody else did, and somebody releases a model that he
should not have. FOLDER holds all of it afterwards; FOLDER/story.html tells what happened and when.
What an earlier loop left in FOLDER makes way; any other folder with something in it is refused.
Where Prometheus is installed it watches too.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from mlfolio.monitor import story
from mlfolio.systems.churn.data import TARGET, TODAY, World, generate
from mlfolio.track import releases

SYSTEM, CUSTOMERS, HISTORY = "churn", 1_000, 3_000
ASKED_AT_ONCE, TOLD = 10, 0.8  # customers of a request; share of them whose fate is told
LOOK_MINUTES, PATIENCE_S = 0.15, 600.0
ROOT = Path(__file__).parent.parent
MARK = "made-by-loop.txt"  # a folder that has it is ours, and may be deleted

POLICY = """\
churn:
  mode: act
  retrain:
    drift: yes
    quality: yes
    apart: 0
    fewest: 300
    most_rows: 2500     # what customers did long ago says little
  release:
    way: canary
    share: 0.5
    requests: 40
    gates: {better: no, margin: 0.0}
"""
COMPETITOR = {  # whoever was bound and content is whom it wants
    **TODAY.reasons, "monthly": -0.6, "two years": 1.6, "months": 0.02, "fibre": -0.4,
}  # fmt: skip


class Month(NamedTuple):
    """A month of the company.

    Attributes:
        title: What happens, in a few words.
        world: What its customers are like, and why they leave.
        broken: Whether the feed to the server sends charges in cents.
        prank: Whether somebody releases a bad model.
    """

    title: str
    world: World
    broken: bool = False
    prank: bool = False


DEAR = replace(TODAY, prices=1.3, contracts=(0.75, 0.13, 0.12))
TAKEN = replace(DEAR, reasons=COMPETITOR)
MONTHS = (
    Month("a month like those before", TODAY),
    Month("prices rise by 30 %, and more people come for a month", DEAR),
    Month("a feed breaks: charges arrive in cents", DEAR, broken=True),
    Month("a competitor takes those who were bound and content", TAKEN),
    Month("the same, and a new model passes its gates", TAKEN),
    Month("it takes over; then somebody has a bad model tried", TAKEN, prank=True),
)


class Told(NamedTuple):
    """What one month came to, for the story."""

    number: int
    title: str
    began: float
    ended: float
    right: float
    versions: Mapping[int, int]
    alarms: tuple[str, ...]


def main(folder: Path) -> None:
    """Plays it all, and writes the story."""
    folder = folder.resolve()
    make_way(folder)
    os.environ["MLFOLIO_RUNS"] = str(folder / "runs")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY, "utf-8")
    say("the company's customers until now")
    bring(folder, customers(HISTORY, 0, TODAY), 0)
    version = folder / "runs" / "data" / SYSTEM / f"{SYSTEM}-1.version"
    mlfolio("run", SYSTEM, "folds=2", "inner_folds=2", "--data", str(version))
    with serving(policy) as url, prometheus(folder, url):
        months = [play(folder, url, number, month) for number, month in enumerate(MONTHS, 1)]
        settle(time.time())
    from loop_story import write_story

    write_story(folder, SYSTEM, months)
    say(f"the story: {folder / 'story.html'}")


def make_way(folder: Path) -> None:
    """Makes an empty folder, in place of what an earlier loop left there."""
    if (folder / MARK).is_file():
        shutil.rmtree(folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SystemExit(
            f"{folder} has something in it that this program did not make (no {MARK}), and is left "
            "alone\n  fix: name an empty folder or a new one, or delete it yourself"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("The next loop that is given this folder deletes it.\n", "utf-8")


def play(folder: Path, url: str, number: int, month: Month) -> Told:
    """A month: customers are asked about, some are told of, and the warehouse gets all of them."""
    began = time.time()
    say(f"month {number}: {month.title}")
    table = customers(CUSTOMERS, number, month.world)
    answers = ask(url, table, cents=month.broken)
    right = np.array([a["answer"] for a in answers]) == table[TARGET].to_numpy()
    versions = pd.Series([a["version"] for a in answers]).value_counts().to_dict()
    tell(url, answers, table, number)
    bring(folder, table, number)
    settle(time.time())
    if month.prank:
        ask_on(url, month.world, number)
        prank(folder)
        others = customers(CUSTOMERS, 10 * number, month.world)
        tell(url, ask(url, others, cents=False), others, number)
        till_withdrawn()
    looks = [step for step in story.steps(SYSTEM) if step.what == "looked" and step.time > began]
    alarms = tuple(dict.fromkeys(reason for look in looks for reason in look.reasons))
    return Told(number, month.title, began, time.time(), float(right.mean()), versions, alarms)


def ask_on(url: str, world: World, number: int) -> None:
    """Asks about more customers until what is tried has answered enough, one way or the other."""
    for more in range(1, 9):
        if releases.staged(SYSTEM) is None:
            return
        table = customers(CUSTOMERS // 4, 100 * number + more, world)
        tell(url, ask(url, table, cents=False), table, number)
        settle(time.time())


def customers(rows: int, number: int, world: World) -> pd.DataFrame:
    """The customers of a month; each is another one than those of other months."""
    table = generate(rows, seed=number, world=world)
    table["customerID"] = [f"{number}-{name}" for name in table["customerID"]]
    return table


def ask(url: str, table: pd.DataFrame, cents: bool) -> list[dict[str, Any]]:
    """Asks the server about customers, ten at a time; each answer with its version."""
    rows = table.drop(columns=[TARGET, "customerID"])
    if cents:
        rows = rows.assign(MonthlyCharges=rows["MonthlyCharges"] * 100)
    inputs = rows.astype(object).where(rows.notna(), None).to_dict("records")
    answers: list[dict[str, Any]] = []
    for at in range(0, len(inputs), ASKED_AT_ONCE):
        body = {"inputs": inputs[at : at + ASKED_AT_ONCE]}
        got = httpx.post(f"{url}/v1/systems/{SYSTEM}/predict", json=body, timeout=60)
        got.raise_for_status()
        content = got.json()
        answers += [{**each, "version": content["version"]} for each in content["predictions"]]
    return answers


def tell(url: str, answers: list[dict[str, Any]], table: pd.DataFrame, seed: int) -> None:
    """Tells the server what most of the customers did."""
    told = np.random.default_rng(seed).random(len(answers)) < TOLD
    with httpx.Client(timeout=60) as client:
        for answer, truth in zip(np.array(answers)[told], table[TARGET][told], strict=True):
            body = {"id": answer["id"], "answer": truth}
            client.post(f"{url}/v1/systems/{SYSTEM}/feedback", json=body).raise_for_status()


def bring(folder: Path, table: pd.DataFrame, number: int) -> None:
    """Brings a month's rows to the living data; two of them are such that they are set aside."""
    path = folder / f"month-{number}.csv"
    if number:
        table = table.astype(object)
        table.loc[0, "tenure"] = "a while"
        table.loc[1, TARGET] = "perhaps"
    table.to_csv(path, index=False)
    mlfolio("ingest", SYSTEM, str(path), "--target", TARGET)


def prank(folder: Path) -> None:
    """Trains a model on customers whose fates were shuffled, and has it tried without any gate."""
    table = customers(CUSTOMERS, 99, TAKEN)
    table[TARGET] = np.random.default_rng(0).permutation(
        table[TARGET].map({"Yes": "No", "No": "Yes"})
    )
    path = folder / "shuffled.csv"
    table.to_csv(path, index=False)
    knobs = ("folds=2", "inner_folds=2", f"target={TARGET}")
    mlfolio("run", SYSTEM, *knobs, "--data", str(path), "--candidate", "--force")
    challenger = releases.challenger(SYSTEM)
    assert challenger is not None
    mlfolio("release", SYSTEM, str(challenger.number), "--canary", "0.5", "--force")
    time.sleep(6)  # until the server has it


def settle(since: float) -> None:
    """Waits until the loop has looked at what came until then, and done what it wants."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        steps = story.steps(SYSTEM)
        looked = any(step.what == "looked" and step.time > since for step in steps)
        if looked and not is_at_work():
            return
        time.sleep(1)
    raise SystemExit("the loop has not looked in ten minutes: see the server's log")


def till_withdrawn() -> None:
    """Waits until the server has taken away what is tried."""
    until = time.monotonic() + PATIENCE_S
    while releases.staged(SYSTEM) is not None and time.monotonic() < until:
        time.sleep(1)


def is_at_work() -> bool:
    """Whether a turn of the loop is being taken."""
    try:
        with FileLock(Path(os.environ["MLFOLIO_RUNS"]) / SYSTEM / ".watch.lock", timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def serving(policy: Path) -> Iterator[str]:
    """A server that watches, and its address."""
    port = free_port()
    command = [
        sys.executable, "-m", "mlfolio", "serve", SYSTEM, "--port", str(port), "--no-pages",
        "--watch", str(policy), "--watch-minutes", str(LOOK_MINUTES),
    ]  # fmt: skip
    with running(command, policy.with_name("server.log")) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/ready", process)
        say(f"the server: {url}")
        yield url


@contextmanager
def prometheus(folder: Path, url: str) -> Iterator[None]:
    """Prometheus with our rules, where it is installed."""
    program = shutil.which("prometheus")
    if program is None:
        say("Prometheus is not installed, and left out (Debian: apt install prometheus)")
        yield
        return
    port, rules = free_port(), ROOT / "deploy" / "prometheus" / "rules.yml"
    config = {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": "mlfolio", "static_configs": [{"targets": [url.removeprefix("http://")]}]}
        ],
    }
    path = folder / "prometheus.json"  # JSON is YAML
    path.write_text(json.dumps(config), "utf-8")
    command = [
        program, f"--config.file={path}", f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with running(command, folder / "prometheus.log") as process:
        wait_for(f"http://127.0.0.1:{port}/-/ready", process)
        say(f"Prometheus: http://127.0.0.1:{port}")
        yield


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose words go to a file, until the end."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Waits until an address answers."""
    for _ in range(240):
        if process.poll() is not None:
            raise SystemExit(f"{process.args} has ended: see its log")
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise SystemExit(f"{url} does not answer")


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def mlfolio(*words: str) -> None:
    """A command, as a user types it; what it says goes on the screen if it fails."""
    say(f"  mlfolio {' '.join(words)}")
    done = subprocess.run(
        [sys.executable, "-m", "mlfolio", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def say(text: str) -> None:
    """Shows how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("loop"))
