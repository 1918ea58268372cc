"""The child process in which untrusted bytes are decoded: limited memory, CPU, files; no writing, no network.

Started by `sandbox` as `python -I -m datasets.decode_worker`. Requests and answers are JSON lines;
pixels follow an answer as raw bytes. Nothing is pickled, so a hijacked child cannot send code.
"""

import json
import math
import mmap
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from datasets.confinement import confine
from datasets.crops import Picture
from datasets.errors import WAY_OUT, UnreadableFile
from datasets.files import is_dicom, refuse_links
from datasets.readers.base import MAX_REGION_PIXELS, SlideReader
from datasets.readers.flat import read_picture

MEMORY_BYTES = 4 << 30
CPU_SECONDS = 30
"""For one request; the soft limit is moved forward before each."""
_OPEN_SLIDES = 6
_OPEN_FILES = 512
"""A DICOM slide can be hundreds of instances."""

Answer = tuple[dict[str, Any], Picture | bytes | None]


def limit_process() -> None:
    """Take away what decoding does not need: writing, programs, connections, core dumps, more memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    confine()


class Worker:
    """Answers requests `{"op": ..., ...}`; keeps the last slides open.

    Args:
        shared: Memory shared with the parent; pixels that fit go there instead of through the pipe.
    """

    def __init__(self, shared: mmap.mmap | None = None) -> None:
        self._shared = shared
        self._files: dict[int, list[Path]] = {}
        self._slides: dict[int, SlideReader] = {}
        self._operations: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "picture": self._picture, "kind": self._kind, "open": self._open, "regions": self._regions,
            "warm": self._warm, "overview": self._overview, "deidentify": self._deidentify,
            "clean": self._clean,
        }  # fmt: skip

    def serve(self, requests: BinaryIO, answers: BinaryIO) -> None:
        """Answer requests until the input ends.

        An answer is an object, with `shape` and H*W*3 bytes where pixels follow (in the shared memory if it says
        `shared`), with `bytes` and so many of them where others do, or `{"reason": "..."}`.
        """
        for line in requests:
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
            try:
                request = json.loads(line)
                header, content = self._operations[request["op"]](request)
            except UnreadableFile as error:
                self._send(answers, {"reason": error.reason})
            except MemoryError:
                self._send(answers, {"reason": f"needs more than {MEMORY_BYTES >> 30} GB of memory; {WAY_OUT}"})
            except RecursionError:
                self._send(answers, {"reason": f"damaged: nested too deeply; {WAY_OUT}"})
            except Exception as error:  # noqa: BLE001  decoders raise types that nobody can list
                self._send(answers, {"reason": f"damaged: {type(error).__name__}; {WAY_OUT}"})
            else:
                self._send(answers, header, content)

    def _send(self, answers: BinaryIO, header: dict[str, Any], content: Picture | bytes | None = None) -> None:
        if isinstance(content, bytes):
            header = {**header, "bytes": len(content)}
        elif content is not None:
            header = {**header, "shape": content.shape}
            if self._shared is not None and content.nbytes <= len(self._shared):
                room = self._room(content.shape)
                if not np.shares_memory(room, content):
                    room[:] = content
                header, content = {**header, "shared": True}, None
            else:
                content = content.tobytes()
        answers.write(json.dumps(header).encode() + b"\n" + (content or b""))
        answers.flush()

    def _warm(self, request: dict[str, Any]) -> Answer:
        """Import what slides need: seconds on a busy machine, which must not be counted against a file."""
        del request
        from datasets.readers import sniff

        return {"warm": sniff.__name__}, None

    def _picture(self, request: dict[str, Any]) -> Answer:
        path = Path(request["path"])
        if is_dicom(path):
            from datasets.readers.dicom import read_single  # a second to import; most pictures are not DICOM

            return {}, read_single(path)
        return {}, read_picture(path)

    def _kind(self, request: dict[str, Any]) -> Answer:
        """Tell a slide from a picture, and what puts DICOM instances together.

        Raises:
            UnreadableFile: The file is empty.
        """
        from datasets.readers import dicom_headers, sniff

        path = Path(request["path"])
        if path.stat().st_size == 0:
            raise UnreadableFile("the file is empty; copy it again, or leave it out")
        if is_dicom(path):
            return {"dicom": dicom_headers.describe(path)}, None
        return {"scan": sniff.is_scan(path)}, None

    def _open(self, request: dict[str, Any]) -> Answer:
        return {"info": self._slide(request).info.to_json()}, None

    def _regions(self, request: dict[str, Any]) -> Answer:
        """Read regions of one size: in the answer they lie below each other.

        Raises:
            UnreadableFile: They are too large, or one of them is damaged.
        """
        width, height, level = (int(request[name]) for name in ("width", "height", "level"))
        places = request["places"]
        if not 0 < len(places) * width * height <= MAX_REGION_PIXELS:
            raise UnreadableFile(f"a region of {width} x {height} pixels is too large to read at once")
        slide = self._slide(request)
        found = self._room((len(places) * height, width, 3))
        try:
            for number, (x, y, z_um) in enumerate(places):
                region = slide.read_region(int(x), int(y), width, height, level=level, z_um=float(z_um))
                found[number * height : (number + 1) * height] = region
        except UnreadableFile:
            # After one damaged tile OpenSlide's handle fails for ever: the next request opens anew.
            self._slides.pop(int(request["slide"])).close()
            raise
        return {}, found

    def _room(self, shape: tuple[int, int, int]) -> Picture:
        """Return memory for pixels: the shared one where they fit."""
        if self._shared is None or math.prod(shape) > len(self._shared):
            return np.empty(shape, np.uint8)
        return np.frombuffer(self._shared, np.uint8, math.prod(shape)).reshape(shape)

    def _overview(self, request: dict[str, Any]) -> Answer:
        from datasets.readers import sniff

        return {}, sniff.overview(self._slide(request))

    def _deidentify(self, request: dict[str, Any]) -> Answer:
        from datasets.deidentify import deidentify

        clean = deidentify(Path(request["path"]), bytes.fromhex(request["key"]))
        facts = {"pixels": clean.pixels, "removed": dict(clean.removed), "notes": clean.notes}
        return facts, clean.header

    def _clean(self, request: dict[str, Any]) -> Answer:
        from datasets.clean_tiff import clean_tiff

        info = self._slide(request).info
        sizes = [(level.width_px, level.height_px) for level in info.levels]
        clean = clean_tiff(Path(request["path"]), info.format, sizes)
        facts = {"prefix": len(clean.prefix), "ranges": len(clean.ranges), "name": clean.suffix_name,
                 "removed": dict(clean.removed)}  # fmt: skip
        return facts, clean.prefix + clean.ranges.astype("<i8").tobytes() + clean.suffix

    def _slide(self, request: dict[str, Any]) -> SlideReader:
        number = int(request["slide"])
        if "paths" in request:
            self._files[number] = [Path(path) for path in request["paths"]]
        if number not in self._slides:
            from datasets.readers import sniff

            for path in self._files[number]:
                refuse_links(path)
            while len(self._slides) >= _OPEN_SLIDES:
                self._slides.pop(next(iter(self._slides))).close()
            self._slides[number] = sniff.open_slide(self._files[number])
        return self._slides[number]


def shared_memory(words: list[str]) -> mmap.mmap | None:
    """Return the memory that the parent named by file number and size on the command line, None without one."""
    if not words:
        return None
    number, size = int(words[0]), int(words[1])
    shared = mmap.mmap(number, size)
    os.close(number)
    return shared


def main() -> None:
    """Run the worker on its standard streams; stray prints of libraries go to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    shared = shared_memory(sys.argv[1:])
    limit_process()
    Worker(shared).serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
