"""Gradio behind a narrow door: which of its addresses are open, and which files it may touch.

Gradio was made to be launched on its own, by somebody who trusts every visitor. Mounted in a
server, it takes any path or URL that a visitor names for an uploaded file, copies or fetches it,
and hands it out (it checks only what was launched). So each payload is looked at before Gradio
does, and of its many addresses only those are open that our pages use.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = "GRADIO_TEMP_DIR"  # the variable that tells Gradio where uploads lie
CLEAN_S, OLD_S = 600, 3600  # how often old uploads are looked for, and what is old
OPEN = re.compile(
    r"/(theme\.css|favicon\.ico|robots\.txt|manifest\.json)|/(assets|static|svelte)/.+"
    r"|/gradio_api/(queue/(join|data)|run/predict|upload(_progress)?|heartbeat/\w+|cancel|reset)"
)


class Pages(gr.Blocks):
    """Pages that take files only from those who uploaded them."""

    def __init__(self, title: str) -> None:
        super().__init__(title=title, analytics_enabled=False, delete_cache=(CLEAN_S, OLD_S))
        self.has_launched = True  # Gradio's own check of paths sleeps until then

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> Any:
        """What Gradio does with every payload, from whichever address, before our code."""
        require_uploaded(inputs)
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


def require_uploaded(payload: Any) -> None:
    """Refuses files that were not uploaded here, wherever in the payload they are named.

    Raises:
        gr.Error: There is one.
    """
    if isinstance(payload, list):
        for part in payload:
            require_uploaded(part)
    if not isinstance(payload, dict):
        return
    payload.pop("url", None)  # where the browser shows the file; nothing here may fetch it
    if "path" in payload and not _is_uploaded(payload["path"]):
        raise gr.Error("there is no such upload: choose the file again", print_exception=False)
    for part in payload.values():
        require_uploaded(part)


def _is_uploaded(path: Any) -> bool:
    """Whether a path leads into the folder of uploads, also after links and dots."""
    folder = os.environ.get(FOLDER)
    if folder is None or not isinstance(path, str) or "\0" in path:
        return False
    return Path(path).resolve().is_relative_to(Path(folder).resolve())


@contextmanager
def uploads_folder() -> Iterator[None]:
    """A folder for what visitors upload, which goes with the server."""
    before = os.environ.get(FOLDER)
    with tempfile.TemporaryDirectory(prefix="mlfolio-uploads-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            os.environ.pop(FOLDER)
            if before is not None:
                os.environ[FOLDER] = before
