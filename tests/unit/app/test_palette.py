"""Categories are told apart by colour-blind eyes: by colour, or by shape where two colours come near."""

import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from datasets.bethesda import LABEL_SETS

# Linear RGB of a normal eye to that of a dichromat: Machado, Oliveira and Fernandes 2009 ("A
# physiologically-based model for simulation of color vision deficiency"), severity 1.
SIMULATION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
NEAR = 10.0
"""CIEDE2000 below which two colours are not told apart at a glance."""


def _lab(color: str, eye: str) -> np.ndarray:
    srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(SIMULATION[eye] @ linear, 0, 1)
    return rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))


def _distance(first, second, eye: str) -> float:
    return float(deltaE_ciede2000(_lab(first.color, eye), _lab(second.color, eye)))


@pytest.mark.parametrize("eye", SIMULATION)
@pytest.mark.parametrize("label_set", LABEL_SETS.values(), ids=lambda s: s.id)
def test_categories__differ_in_colour_or_in_shape(label_set, eye: str) -> None:
    alike = [
        (a.id, b.id, round(_distance(a, b, eye), 1))
        for a, b in itertools.combinations(label_set.categories, 2)
        if a.shape == b.shape and _distance(a, b, eye) < NEAR
    ]

    assert alike == []


@pytest.mark.parametrize("eye", SIMULATION)
def test_squamous_axis__is_told_apart_by_colour_alone(eye: str) -> None:
    axis = [c for c in LABEL_SETS["bethesda"].categories if c.id in ("NILM", "ASC-US", "LSIL", "ASC-H", "HSIL", "SCC")]

    assert min(_distance(a, b, eye) for a, b in itertools.combinations(axis, 2)) >= NEAR
