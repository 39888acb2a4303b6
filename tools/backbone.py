"""Puts the net of a run of pictures into the package, as the small backbone.

mlfolio run pictures --data "$(mlfolio data where cifar-10)" backbone=scratch epochs=30
python tools/backbone.py runs/pictures/THAT_RUN
"""

import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from mlfolio.parts.vision.backbone import WEIGHTS
from mlfolio.parts.vision.nets import small_net

stored = load_file(Path(sys.argv[1]) / "model" / "net.safetensors")
# Halves: the net's answers are the same, and the package is half as large.
halves = {name: each.half() if each.is_floating_point() else each for name, each in stored.items()}
save_file(halves, WEIGHTS)
weights = sum(each.numel() for each in small_net().parameters())
print(f"{WEIGHTS}: {weights:,} weights, {WEIGHTS.stat().st_size / 1e6:.1f} MB")
