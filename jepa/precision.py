"""In which type a device multiplies: bfloat16 where that is faster, float32 elsewhere. Weights stay float32."""

import contextlib
from typing import Any

import torch

_BFLOAT16_SETS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Instruction sets, of Intel and AMD and of Arm, that multiply bfloat16; by PyTorch's names."""


def dtype_of(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of a device's products under a run's `precision`: float32 or bfloat16.

    A CPU without instructions for bfloat16 imitates it, slower than float32; so "fast" asks the CPU.

    Args:
        precision: One of `config.PRECISIONS`.
        device: Where the network is.
    """
    on_cpu = device.type == "cpu"
    is_wide = {
        "float32": True,
        "bfloat16": False,
        "auto": on_cpu,
        "fast": on_cpu and not any(torch.cpu.get_capabilities().get(name, False) for name in _BFLOAT16_SETS),
    }[precision]
    return torch.float32 if is_wide else torch.bfloat16


def multiplying_in(dtype: torch.dtype, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Within this context a network multiplies in `dtype`; sums that need it stay float32 (torch.autocast)."""
    if dtype == torch.bfloat16:
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
