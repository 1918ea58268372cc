"""Which type a device multiplies in."""

import pytest
import torch

from jepa.precision import dtype_of, multiplying_in


@pytest.mark.parametrize(
    ("precision", "device", "sets", "expected"),
    [
        ("auto", "cpu", ("avx512_bf16",), torch.float32),
        ("fast", "cpu", ("avx512_bf16",), torch.bfloat16),
        ("fast", "cpu", ("bf16",), torch.bfloat16),
        ("fast", "cpu", ("avx2",), torch.float32),
        ("bfloat16", "cpu", (), torch.bfloat16),
        ("auto", "cuda", (), torch.bfloat16),
        ("fast", "cuda", (), torch.bfloat16),
        ("float32", "cuda", (), torch.float32),
    ],
)
def test_dtype_of__asks_the_processor_only_when_fast(monkeypatch, precision, device, sets, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": False} | dict.fromkeys(sets, True))

    assert dtype_of(precision, torch.device(device)) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_multiplying_in__products_have_the_type(dtype):
    layer = torch.nn.Linear(4, 4)
    with multiplying_in(dtype, torch.device("cpu")):
        product = layer(torch.ones(2, 4))

    assert product.dtype == dtype
    assert layer.weight.dtype == torch.float32
