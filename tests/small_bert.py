"""A small BERT, untrained, as the hub has them."""

from __future__ import annotations

import shutil
from pathlib import Path


def small_bert(folder: Path, width: int = 16) -> Path:
    """Writes one of two layers, with the pieces of the bundled encoder; returns the folder."""
    import torch
    from transformers import BertConfig, BertModel

    from mlfolio.parts.text.embed import BUNDLED, find_encoder

    torch.manual_seed(0)
    sizes = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(**sizes, intermediate_size=2 * width)).save_pretrained(folder)
    shutil.copy(find_encoder(BUNDLED) / "tokenizer.json", folder)
    return folder
