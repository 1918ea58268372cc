"""For MONAI users: our slides behind its WSI reader, and labelled crops as a cached dataset.

Imported by nobody here, because `import monai.data` costs about 12 CPU seconds; import it where a
MONAI pipeline is built. Pretraining does not use it: its tensors with metadata are ten times slower.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset
from monai.data.wsi_reader import BaseWSIReader
from monai.transforms import (
    Compose,
    EnsureTyped,
    Lambdad,
    RandFlipd,
    RandRotate90d,
    ScaleIntensityRanged,
)
from numpy.typing import NDArray

from datasets.crops import read_own_png
from datasets.readers.base import SlideInfo
from datasets.sandbox import Decoder


class SandboxedSlide:
    """An open slide, as MONAI passes it around."""

    def __init__(self, paths: Sequence[Path], info: SlideInfo) -> None:
        self.paths = list(paths)
        self.info = info


class SandboxedWSIReader(BaseWSIReader):  # type: ignore[misc]  # MONAI is typed in part only
    """MONAI's reader protocol over every format that this program reads, decoded in its limited child process.

    Give an instance as `reader` to `monai.data.PatchWSIDataset`. A slide of several DICOM instances is
    named by its folder. Unlike MONAI's own readers it paints what was not scanned white, decides by the
    bytes and not by the suffix, and knows no RGBA.

    Args:
        mpp: Wanted scale in um/px; as MONAI has it, a level within `mpp_rtol` must exist.
        options: `level`, `power`, `channel_dim`, `dtype`, `device` of MONAI's `BaseWSIReader`.
    """

    backend = "cytojepa"

    def __init__(self, mpp: float | None = None, **options: Any) -> None:
        super().__init__(mpp=mpp, **options)
        self._decoder = Decoder()

    def read(self, data: str | Path | Sequence[str | Path], **options: Any) -> SandboxedSlide | list[SandboxedSlide]:
        """Open slides.

        Args:
            data: A file, a folder of DICOM instances, or several of these.
            options: None is known.

        Raises:
            UnreadableFile: With the reason.
        """
        del options
        many = [data] if isinstance(data, str | Path) else list(data)
        slides = [self._open(Path(path)) for path in many]
        return slides[0] if len(slides) == 1 else slides

    def _open(self, path: Path) -> SandboxedSlide:
        paths = sorted(child for child in path.iterdir() if child.is_file()) if path.is_dir() else [path]
        return SandboxedSlide(paths, self._decoder.open_slide(paths))

    def verify_suffix(self, filename: Any) -> bool:
        """Return True: the bytes decide, when the file is opened."""
        del filename
        return True

    def get_level_count(self, wsi: SandboxedSlide) -> int:
        """Return the number of levels."""
        return len(wsi.info.levels)

    def get_size(self, wsi: SandboxedSlide, level: int) -> tuple[int, int]:
        """Return height and width of a level in its pixels."""
        return wsi.info.levels[level].height_px, wsi.info.levels[level].width_px

    def get_downsample_ratio(self, wsi: SandboxedSlide, level: int) -> float:
        """Return how many level-0 pixels a pixel of the level is."""
        return wsi.info.levels[level].downsample

    def get_file_path(self, wsi: SandboxedSlide) -> str:
        """Return the path of the slide's first file."""
        return str(wsi.paths[0].absolute())

    def get_mpp(self, wsi: SandboxedSlide, level: int) -> tuple[float, float]:
        """Return the level's um/px, down and across.

        Raises:
            ValueError: The file does not tell.
        """
        if wsi.info.mpp is None:
            raise ValueError("the slide does not tell its um/px: use `level`.")
        scale = wsi.info.mpp * wsi.info.levels[level].downsample
        return scale, scale

    def get_power(self, wsi: SandboxedSlide, level: int) -> float:
        """Return the objective's power at the level.

        Raises:
            ValueError: The file does not tell.
        """
        if wsi.info.objective is None:
            raise ValueError("the slide does not tell its objective: use `level` or `mpp`.")
        return wsi.info.objective / wsi.info.levels[level].downsample

    def _get_patch(
        self, wsi: SandboxedSlide, location: tuple[int, int], size: tuple[int, int], level: int, dtype: Any, mode: str
    ) -> NDArray[Any]:
        if mode != "RGB":
            raise ValueError(f"mode = {mode!r}: slides come as RGB, what was not scanned is white.")
        (top, left), (height, width) = location, size
        pixels = self._decoder.read_region(wsi.paths, left, top, width, height, level=level)
        return np.moveaxis(pixels.astype(dtype), -1, self.channel_dim)


def cached_cells(crops: Sequence[Path], classes: Sequence[int], *, is_training: bool) -> CacheDataset:
    """Return labelled crops as a MONAI dataset that keeps the pictures in memory as uint8.

    Meant for the labelled set, up to some 20,000 crops. Flips and quarter turns only: a nucleus' size
    is diagnostic, so nothing is scaled.

    Args:
        crops: PNG files of the study, from `datasets.catalog.crop_path`.
        classes: The class number of each.
        is_training: Whether to flip and turn at random.

    Returns:
        A dataset of `{"image": float32 (3, H, W) in 0..1, "label": int}`.

    Raises:
        ValueError: Not as many classes as crops.
    """
    rows = [{"image": path, "label": int(number)} for path, number in zip(crops, classes, strict=True)]
    # MONAI keeps in memory what comes before the first random step.
    steps: list[Any] = [Lambdad("image", _load)]
    if is_training:
        steps += [RandFlipd("image", prob=0.5, spatial_axis=0), RandRotate90d("image", prob=0.75)]
    steps += [
        ScaleIntensityRanged("image", 0, 255, 0.0, 1.0),
        EnsureTyped("image", dtype=torch.float32, track_meta=False),
    ]
    return CacheDataset(rows, Compose(steps), progress=False)


def _load(path: Path) -> NDArray[np.uint8]:
    return np.moveaxis(read_own_png(path), -1, 0).copy()
