import numpy as np
import pytest

from jepa.errors import ConfigError
from jepa.positions import sin_cos_table


def test_table__golden(golden):
    with np.load(golden / "pos_embed.npz") as arrays:
        for name in arrays.files:
            side, dim = (int(part) for part in name[4:].split("_dim"))
            np.testing.assert_allclose(sin_cos_table((side, side), dim), arrays[name], atol=1e-6)


def test_table__first_half_is_column():
    table = sin_cos_table((2, 3), 8).reshape(2, 3, 8)

    assert table[0, 2, :4] == pytest.approx([np.sin(2), np.sin(0.02), np.cos(2), np.cos(0.02)])
    assert table[1, 0, 4:] == pytest.approx([np.sin(1), np.sin(0.01), np.cos(1), np.cos(0.01)])
    assert (table[0, :, 4:] == table[0, 0, 4:]).all()


def test_table__odd_dim():
    with pytest.raises(ConfigError, match="dim = 6 is no multiple of 4"):
        sin_cos_table((2, 2), 6)


def test_table__read_only():
    with pytest.raises(ValueError, match="read-only"):
        sin_cos_table((2, 2), 4)[0, 0] = 1
