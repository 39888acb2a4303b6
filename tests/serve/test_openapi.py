"""What the OpenAPI document promises, tried with inputs made from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve.conftest import Server

pytestmark = pytest.mark.slow
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)


def test_schemathesis_finds_nothing(server: Server, tmp_path: Path) -> None:
    program = shutil.which("schemathesis", path=Path(sys.executable).parent)
    assert program is not None, "schemathesis is in the extra dev"

    done = subprocess.run(
        [program, "run", f"{server.url}/openapi.json", "--checks", CHECKS, "--seed", "0",
         "--max-examples", "30", "--phases", "examples,coverage,fuzzing"],
        capture_output=True, text=True, cwd=tmp_path, timeout=500, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-5000:]
    assert server.client.get("/ready").status_code == 200
