"""Models by name: a folder, or what the Hugging Face hub has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlfolio.core.errors import FileError

if TYPE_CHECKING:
    from torch import nn

_WANTED = "it needs config.json and model.safetensors as the hub has them"


def find_model(name: str, fetch: bool, what: str, otherwise: str) -> Path:
    """Where the files of a model lie.

    Args:
        name: A folder, or a model's name on the hub.
        fetch: Whether it may be downloaded; else it has to be on this machine.
        what: What it is called in an error.
        otherwise: What can be used instead.

    Raises:
        FileError: It is neither here nor to be had.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path.resolve()
    from huggingface_hub import snapshot_download

    try:
        files = ["*.json", "model.safetensors"]  # nothing that could hold code
        return Path(snapshot_download(name, allow_patterns=files, local_files_only=not fetch))
    except Exception as error:  # the hub's errors have no common base: offline, no such name...
        place = "to be had from the hub" if fetch else "in the cache of the hub"
        raise FileError(
            f"no {what} {name!r}: neither a folder nor {place} ({type(error).__name__})",
            f"{otherwise}, or the path of a folder"
            + ("" if fetch else f"; a run with this {what} downloads it"),
        ) from None


def load_pretrained(folder: Path, what: str) -> nn.Module:
    """The net in a folder, as the transformers library reads it; no code is run from there.

    Args:
        folder: With `config.json` and `model.safetensors`.
        what: What it is called in an error.

    Raises:
        FileError: It holds none.
    """
    return _read("AutoModel", folder, what)[0]


def load_scorer(folder: Path, what: str) -> tuple[nn.Module, list[str]]:
    """A net that says one number of what it reads; no code is run from there.

    Args:
        folder: With `config.json` and `model.safetensors`.
        what: What it is called in an error.

    Returns:
        The net in float32, and the names of its weights that are not in the folder and so are
        random: an encoder has no head.

    Raises:
        FileError: It holds none.
    """
    import torch
    from transformers.utils import logging

    shown = logging.get_verbosity()
    logging.set_verbosity_error()  # what is missing is said by whoever minds
    try:
        kind = "AutoModelForSequenceClassification"
        net, facts = _read(kind, folder, what, num_labels=1, dtype=torch.float32)
    finally:
        logging.set_verbosity(shown)
    if layers := sorted(name for name in facts["unexpected_keys"] if ".layer." in name):
        raise FileError(f"{folder} holds no {what}: {layers[0]} is not the net's", _WANTED)
    return net, sorted(facts["missing_keys"])


def places(body: Any) -> int:
    """Tokens that an encoder tells the places of; RoBERTa counts from beyond its padding."""
    embedded = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    skipped = getattr(embedded, "padding_idx", None)
    most = int(body.config.max_position_embeddings)
    return most if skipped is None else most - skipped - 1


def _read(kind: str, folder: Path, what: str, **how: Any) -> tuple[nn.Module, dict[str, Any]]:
    """A net of one of the library's kinds, and which weights were missing or too many."""
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        net, facts = getattr(transformers, kind).from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **how
        )
    except Exception as error:  # transformers' own have no common base
        raise FileError(
            f"{folder} holds no {what} that can be used ({type(error).__name__}: {error!s:.200})",
            _WANTED,
        ) from None
    return net, facts


def untrained(config: dict[str, Any]) -> nn.Module:
    """A net of the transformers library, from its configuration alone."""
    from transformers import AutoConfig, AutoModel

    net: nn.Module = AutoModel.from_config(AutoConfig.for_model(**config), trust_remote_code=False)
    return net


def fuse_attention(body: nn.Module) -> None:
    """Drops no weights of attention: with dropout, torch's fused attention is slow on CPUs.

    It takes two fifths of a step. What the names are is BERT's and RoBERTa's; others learn as they
    would.
    """
    from torch import nn

    for name, part in body.named_modules():
        if name.endswith("attention.self.dropout") and isinstance(part, nn.Dropout):
            part.p = 0.0
