"""Where nets compute, and in which numbers."""

from __future__ import annotations

import torch


def best_device() -> torch.device:
    """A GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the device multiplies it natively; elsewhere it is emulated and slow."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = cpu_has_bf16()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 natively."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
