"""How tiles lie on disk: one array of bytes, or, for very many, tar shards of JPEG with an index.

    tiles.npy                         (N, side_px, side_px, 3) uint8, RGB; memory-mapped
    shard-00000.tar, index.parquet    JPEG in order, readable by WebDataset; shard, offset, length, where from

Both are read by number, in any order. A shard holds what fits 1 GB; JPEG of quality 95 needs about a
sixth of the array's space and a processor's time to decode. Files of this program alone are decoded
here: what comes from outside went through the sandboxed child before.
"""

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datasets.errors import StoreError
from datasets.files import sha256_of_file, sync_file

ARRAY_FILE, INDEX_FILE = "tiles.npy", "index.parquet"
_JPEG_QUALITY = 95
_SHARD_BYTES = 1_000_000_000
_INDEX = pa.schema([
    ("shard", pa.int32()), ("offset", pa.int64()), ("length", pa.int32()),
    ("slide", pa.string()), ("cell", pa.string()), ("x", pa.float64()), ("y", pa.float64()),
])  # fmt: skip

Pictures = NDArray[np.uint8]
"""RGB, shape (..., H, W, 3)."""
Source = Mapping[str, Any]
"""Where a tile comes from: `slide`, and as far as known `cell`, `x` and `y`."""


class Tiles(Protocol):
    """Tiles by number, as an array gives them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, side_px, side_px, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: Any) -> Any:
        """Return a tile (side_px, side_px, 3) for a number, several (M, ...) for an array of numbers; uint8, RGB."""


def open_tiles(folder: Path) -> Tiles:
    """Open the tiles of a pack, however they lie there.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged.
    """
    if (folder / INDEX_FILE).exists():
        return ShardedTiles(folder)
    tiles: Pictures = np.load(folder / ARRAY_FILE, mmap_mode="r", allow_pickle=False)
    if tiles.dtype != np.uint8:
        raise ValueError(f"{ARRAY_FILE} holds {tiles.dtype}, not bytes")
    return tiles


class ArrayWriter:
    """Writes tiles into `tiles.npy`.

    Args:
        folder: Of the pack.
        side_px: Of every tile.
    """

    def __init__(self, folder: Path, side_px: int) -> None:
        self._path, self._side_px, self._sources = folder / ARRAY_FILE, side_px, list[Source]()
        self._raw_path = folder / "tiles.raw"
        self._stream = self._raw_path.open("wb")

    def add(self, picture: Pictures, source: Source) -> None:
        """Write the next tile, shape (side_px, side_px, 3), uint8."""
        self._stream.write(np.ascontiguousarray(picture).tobytes())
        self._sources.append(source)

    def close(self) -> dict[str, Any]:
        """Finish the files and return what the manifest has to say of them."""
        self._stream.close()
        shape = (len(self._sources), self._side_px, self._side_px, 3)
        if self._sources:
            packed = np.lib.format.open_memmap(self._path, mode="w+", dtype=np.uint8, shape=shape)
            packed[:] = np.memmap(self._raw_path, np.uint8, mode="r", shape=shape)
            packed.flush()
        self._raw_path.unlink()
        digest = sha256_of_file(self._path) if self._sources else ""
        return {"tiles": len(self._sources), "sha256": digest, "sources": self._sources}


class ShardWriter:
    """Writes tiles into tar shards with an index.

    Args:
        folder: Of the pack.
        shard_bytes: A shard that has this size is closed.
    """

    def __init__(self, folder: Path, shard_bytes: int = _SHARD_BYTES) -> None:
        self._folder, self._shard_bytes = folder, shard_bytes
        self._count, self._sources = 0, list[Source]()
        self._shards: list[Path] = []
        self._digests: list[str] = []
        self._tar: tarfile.TarFile | None = None
        self._index = pq.ParquetWriter(folder / INDEX_FILE, _INDEX)

    def add(self, picture: Pictures, source: Source) -> None:
        """Write the next tile, shape (side_px, side_px, 3), uint8.

        Raises:
            StoreError: The picture cannot be written as JPEG.
        """
        done, jpeg = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if not done:
            raise StoreError(f"tile {self._count}: it cannot be written as JPEG.")
        if self._tar is None:
            self._shards.append(self._folder / f"shard-{len(self._shards):05}.tar")
            self._tar = tarfile.open(self._shards[-1], "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115  closed when full
        entry = tarfile.TarInfo(f"{self._count:09}.jpg")
        entry.size = len(jpeg)
        self._tar.addfile(entry, io.BytesIO(jpeg.tobytes()))
        self._count += 1
        self._sources.append(source)
        if self._tar.offset >= self._shard_bytes:
            self._close_shard()

    def close(self) -> dict[str, Any]:
        """Finish the files and return what the manifest has to say of them."""
        self._close_shard()
        self._index.close()
        return {"tiles": self._count, "sha256": sha256_of_file(self._folder / INDEX_FILE), "shards": self._digests}

    def _close_shard(self) -> None:
        if self._tar is None:
            return
        self._tar.close()
        self._tar = None
        sync_file(self._shards[-1])
        self._digests.append(sha256_of_file(self._shards[-1]))
        with tarfile.open(self._shards[-1]) as written:
            entries = written.getmembers()
        columns: dict[str, list[Any]] = {
            "shard": [len(self._shards) - 1] * len(entries),
            "offset": [entry.offset_data for entry in entries],
            "length": [entry.size for entry in entries],
        }
        columns |= {name: [row.get(name) for row in self._sources] for name in ("slide", "cell", "x", "y")}
        self._index.write_table(pa.table(columns, schema=_INDEX))
        self._sources.clear()


class ShardedTiles:
    """Tiles of tar shards by number, decoded when asked for; threads may read at the same time.

    Args:
        folder: Of the pack.

    Raises:
        OSError: A shard is missing.
        ValueError: The index is damaged, or names bytes that a shard does not have.
    """

    def __init__(self, folder: Path) -> None:
        index = pq.read_table(folder / INDEX_FILE, columns=["shard", "offset", "length"])
        self._shard, self._offset, self._length = (index[name].to_numpy() for name in index.column_names)
        paths = sorted(folder.glob("shard-*.tar"))
        ends = np.zeros(len(paths), np.int64)
        np.maximum.at(ends, self._shard, self._offset + self._length)
        for path, end in zip(paths, ends, strict=True):
            if path.stat().st_size < end:
                raise ValueError(f"{path.name} is shorter than its index says")
        self._files = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in paths]
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._side_px = self._decode(0).shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, side_px, side_px, 3)."""
        return (len(self._shard), self._side_px, self._side_px, 3)

    def __len__(self) -> int:
        return len(self._shard)

    def __getitem__(self, which: Any) -> Pictures:
        """Return one tile, or those of an array of numbers."""
        if np.ndim(which) == 0:
            return self._decode(int(which))
        return np.stack(list(self._pool.map(self._decode, np.asarray(which).tolist())))

    def __del__(self) -> None:
        for file in getattr(self, "_files", ()):
            os.close(file)

    def _decode(self, number: int) -> Pictures:
        jpeg = os.pread(self._files[self._shard[number]], int(self._length[number]), int(self._offset[number]))
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise StoreError(f"tile {number}: its bytes in the shard are no JPEG. Delete the pack; it is built again.")
        return np.asarray(picture, np.uint8)


def read_sources(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Source]:
    """Yield where each tile of a pack comes from, in order.

    Args:
        folder: Of the pack.
        manifest: What its `manifest.json` says.
    """
    if "sources" in manifest:
        yield from manifest["sources"]
        return
    for batch in pq.ParquetFile(folder / INDEX_FILE).iter_batches(columns=["slide", "cell", "x", "y"]):
        yield from ({name: value for name, value in row.items() if value is not None} for row in batch.to_pylist())
