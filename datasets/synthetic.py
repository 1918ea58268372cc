"""Drawn fields of squamous cells with a known class each: for the demonstration, tests and pictures.

Sizes follow The Bethesda System 2014: an intermediate nucleus has about 35 um2; ASC-US 2.5 to 3
times that, LSIL more, with a halo; ASC-H and HSIL are small cells that are mostly nucleus; SCC is
irregular, dark and often orange. No picture is a patient's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MPP = 0.25
WIDTH_PX, HEIGHT_PX = 1280, 960
_CELLS = 34
_SPACING_UM = 26.0
_BLUE, _PINK, _ORANGE = (0.62, 0.24, 0.20), (0.10, 0.46, 0.26), (0.06, 0.36, 0.72)
_NUCLEUS = (0.95, 1.05, 0.62)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """How cells of a class look: ranges from which each cell draws."""

    nucleus_um2: tuple[float, float]
    cell_um2: tuple[float, float]
    chromatin: float
    """Optical density of the nucleus."""
    coarseness: float
    """Contrast of the chromatin."""
    irregularity: float
    """Roughness of the nuclear outline."""
    halo: float = 0.0
    """Clearing around the nucleus, 0 to 1."""
    elongation: float = 1.15


KINDS = {
    "NILM": Kind(nucleus_um2=(22, 42), cell_um2=(1300, 2300), chromatin=0.62, coarseness=0.10, irregularity=0.04),
    "ASC-US": Kind(nucleus_um2=(88, 112), cell_um2=(1300, 2200), chromatin=0.70, coarseness=0.16, irregularity=0.07),
    "LSIL": Kind(
        nucleus_um2=(125, 180), cell_um2=(1400, 2300), chromatin=0.85, coarseness=0.25, irregularity=0.10, halo=0.8
    ),
    "ASC-H": Kind(nucleus_um2=(70, 95), cell_um2=(190, 280), chromatin=0.85, coarseness=0.22, irregularity=0.09),
    "HSIL": Kind(nucleus_um2=(95, 150), cell_um2=(170, 290), chromatin=1.10, coarseness=0.40, irregularity=0.15),
    "SCC": Kind(
        nucleus_um2=(110, 260), cell_um2=(420, 1000), chromatin=1.35, coarseness=0.50, irregularity=0.24, elongation=2.1
    ),
}
SHARES = {"NILM": 0.58, "ASC-US": 0.10, "LSIL": 0.11, "ASC-H": 0.07, "HSIL": 0.09, "SCC": 0.05}


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnCell:
    """A drawn cell: centre of its nucleus in pixels, class, and the areas that define it."""

    x: float
    y: float
    category: str
    nucleus_area_um2: float
    cell_area_um2: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnSlide:
    """A drawn field: RGB uint8 of shape (H, W, 3), its cells, and um/px."""

    image: NDArray[np.uint8]
    cells: tuple[DrawnCell, ...]
    mpp: float


def draw_study(seed: int, num_slides: int) -> Iterator[DrawnSlide]:
    """Draw fields, each with its own stain; equal seeds give equal fields."""
    for number in range(num_slides):
        yield draw_slide(np.random.default_rng([seed, number]))


def draw_slide(generator: np.random.Generator) -> DrawnSlide:
    """Draw one field by adding up optical densities, as light through a smear does."""
    stain = np.asarray(generator.uniform(0.85, 1.15, (3,)), np.float32)
    stain *= np.float32(generator.uniform(0.85, 1.15))
    density = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.float32)
    _draw_debris(density, generator)
    names = generator.choice(list(SHARES), _CELLS, p=list(SHARES.values()))
    cells = [
        _draw_cell(density, x, y, str(name), generator)
        for (x, y), name in zip(_places(generator, _CELLS), names, strict=False)
    ]
    density *= stain
    light = np.array([244, 243, 238], np.float32) * 10.0**-density
    light *= 1 + 0.03 * _noise(generator, (HEIGHT_PX, WIDTH_PX), 160)[..., None]
    light = cv2.GaussianBlur(light, (0, 0), float(generator.uniform(0.6, 1.0)))
    light = light + np.asarray(generator.normal(0, 2.0, (HEIGHT_PX, WIDTH_PX, 3)), np.float32)
    image = np.clip(light, 0, 255).astype(np.uint8)
    return DrawnSlide(image=image, cells=tuple(cells), mpp=MPP)


def _places(generator: np.random.Generator, count: int) -> list[tuple[float, float]]:
    """Scatter centres so that no two nuclei cover each other."""
    placed: list[tuple[float, float]] = []
    for _ in range(4000):
        x, y = generator.uniform(40, WIDTH_PX - 40), generator.uniform(40, HEIGHT_PX - 40)
        if all((x - a) ** 2 + (y - b) ** 2 > (_SPACING_UM / MPP) ** 2 for a, b in placed):
            placed.append((x, y))
        if len(placed) == count:
            break
    return placed


def _noise(generator: np.random.Generator, shape: tuple[int, int], grain_px: float) -> NDArray[np.float32]:
    """Smooth noise of about -1 to 1 with grains of the given size."""
    small = (max(2, int(shape[0] / grain_px) + 2), max(2, int(shape[1] / grain_px) + 2))
    coarse = generator.uniform(-1, 1, small).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def _outline(
    shape: tuple[int, int], x: float, y: float, area_px: float, roughness: float, elongation: float,
    generator: np.random.Generator,
) -> NDArray[np.float32]:  # fmt: skip
    """Return a soft mask of a blob of the wanted area, 0 to 1."""
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(2, 7):
        radius += roughness * generator.normal() / wave**0.7 * np.cos(wave * angles + generator.uniform(0, 6.3))
    radius = np.maximum(radius, 0.3)
    radius *= np.sqrt(area_px / (0.5 * (2 * np.pi / 72) * (radius**2).sum()))
    turn, stretch = generator.uniform(0, np.pi), np.sqrt(elongation)
    along, across = radius * np.cos(angles) * stretch, radius * np.sin(angles) / stretch
    points = np.column_stack([
        x + along * np.cos(turn) - across * np.sin(turn), y + along * np.sin(turn) + across * np.cos(turn)
    ])  # fmt: skip
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return np.asarray(mask / 255.0, np.float32)


def _draw_cell(
    density: NDArray[np.float32], x: float, y: float, name: str, generator: np.random.Generator
) -> DrawnCell:
    kind, shape = KINDS[name], density.shape[:2]
    nucleus_um2, cell_um2 = generator.uniform(*kind.nucleus_um2), generator.uniform(*kind.cell_um2)
    if kind.cell_um2[1] > 900:
        cell_x, cell_y = x + generator.normal(0, 14), y + generator.normal(0, 14)
    else:
        cell_x, cell_y = x + generator.normal(0, 2), y + generator.normal(0, 2)
    body = _outline(shape, cell_x, cell_y, cell_um2 / MPP**2, 0.09, kind.elongation, generator)
    nucleus = _outline(shape, x, y, nucleus_um2 / MPP**2, kind.irregularity, min(kind.elongation, 1.5), generator)
    tint = np.array(_ORANGE if name == "SCC" else (_BLUE, _PINK)[int(generator.random() < 0.35)], np.float32)
    thickness = generator.uniform(0.34, 0.55) * (1.25 if kind.cell_um2[1] < 400 else 1.0)
    cloudy = 1 + 0.18 * _noise(generator, shape, 22) + 0.07 * _noise(generator, shape, 3)
    if kind.halo:
        reach = _outline(shape, x, y, 4.5 * nucleus_um2 / MPP**2, 0.08, 1.1, generator)
        cloudy *= 1 - kind.halo * cv2.GaussianBlur(reach, (0, 0), 3)
    rim = body - cv2.GaussianBlur(body, (0, 0), 4) * body
    density += (cv2.GaussianBlur(body, (0, 0), 1.2) * cloudy * thickness + 0.12 * rim)[..., None] * tint
    grains = 1 + kind.coarseness * (_noise(generator, shape, 4) + 0.6 * _noise(generator, shape, 9))
    edge = nucleus - cv2.erode(nucleus, np.ones((3, 3), np.uint8))
    dark = cv2.GaussianBlur(nucleus, (0, 0), 0.8) * grains * kind.chromatin + 0.25 * kind.chromatin * edge
    density += dark[..., None] * np.array(_NUCLEUS, np.float32)
    return DrawnCell(x=float(x), y=float(y), category=name, nucleus_area_um2=float(nucleus_um2),
                     cell_area_um2=float(cell_um2))  # fmt: skip


def _draw_debris(density: NDArray[np.float32], generator: np.random.Generator) -> None:
    """Neutrophils (three small dark lobes) and specks."""
    shape = density.shape[:2]
    layer = np.zeros(shape, np.float32)
    for _ in range(int(generator.integers(12, 40))):
        x, y = generator.uniform(0, shape[1]), generator.uniform(0, shape[0])
        for _lobe in range(3):
            center = (int(x + generator.normal(0, 6)), int(y + generator.normal(0, 6)))
            cv2.circle(layer, center, int(generator.integers(5, 8)), 0.75, -1, cv2.LINE_AA)
    for _ in range(120):
        center = (int(generator.uniform(0, shape[1])), int(generator.uniform(0, shape[0])))
        cv2.circle(layer, center, int(generator.integers(1, 3)), float(generator.uniform(0.1, 0.5)), -1, cv2.LINE_AA)
    density += cv2.GaussianBlur(layer, (0, 0), 1.2)[..., None] * np.array(_NUCLEUS, np.float32) * 0.8
