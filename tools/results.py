"""Measures systems on their official data and writes each one's results.json.

    MLFOLIO_DATA=FOLDER python tools/results.py titanic digits
    MLFOLIO_DATA=FOLDER MLFOLIO_RESULTS=FOLDER python tools/results.py pictures

The second keeps the runs, so a training of hours that was interrupted is gone on with. A number
in a results.json comes from here and nowhere else: from the command that the file names,
on the data whose fingerprint it carries, by the code as it stands.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

ROOT = Path(__file__).parent.parent
SYSTEMS = ROOT / "src" / "mlfolio" / "systems"


def measure(name: str) -> Path:
    """Runs a system on its official data, in a folder of its own, and writes its results."""
    arguments = ["run", name, "--data", "official", "--seed", "0", "--json"]
    kept_runs = os.environ.get("MLFOLIO_RESULTS")
    with nullcontext(kept_runs) if kept_runs else tempfile.TemporaryDirectory() as runs:
        done = subprocess.run(
            [sys.executable, "-m", "mlfolio", *arguments],
            env={**os.environ, "MLFOLIO_RUNS": runs},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        result = json.loads(done.stdout)
        environment = json.loads((Path(result["run"]) / "environment.json").read_text("utf-8"))
    kept = {
        "system": name,
        "command": f"mlfolio {' '.join(arguments)}",
        "source": result["source"],
        "seed": result["seed"],
        "knobs": result["knobs"],
        "fingerprint": result["fingerprint"],
        "scores": result["scores"],
        "cost": result["cost"],
        "environment": {k: environment[k] for k in ("python", "cores", "packages")},
    }
    path = SYSTEMS / name.replace("-", "_") / "results.json"
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return path


if __name__ == "__main__":
    for system in sys.argv[1:]:
        print(measure(system), flush=True)
