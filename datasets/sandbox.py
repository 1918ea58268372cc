"""Decoding at arm's length: a child process that may crash, hang or eat memory without harm.

One changed tag in a slide file aborts a decoder's whole process, and a looping one hangs it for
ever: neither can be caught inside the process that serves the doctors.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from datasets.errors import UnreadableFile
from datasets.readers.flat import MAX_PIXELS, Picture

WALL_SECONDS = 60.0
_HEADER_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20


class Decoder:
    """Decodes untrusted picture files in a child process that is replaced whenever it dies.

    Use as a context manager; not to be shared between threads.

    Args:
        wall_seconds: How long one file may take before the child is killed.
    """

    def __init__(self, *, wall_seconds: float = WALL_SECONDS) -> None:
        self._wall_seconds = wall_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._kill()

    def read_picture(self, path: Path) -> Picture:
        """Decode one flat picture.

        Returns:
            RGB, shape (H, W, 3), uint8.

        Raises:
            UnreadableFile: With the reason, also when the decoder crashed or took too long.
        """
        if path.is_symlink() or not path.is_file():
            raise UnreadableFile("not a regular file")
        deadline = time.monotonic() + self._wall_seconds
        try:
            child = self._running_child()
            assert child.stdin is not None
            child.stdin.write(json.dumps({"path": str(path.absolute())}).encode() + b"\n")
            child.stdin.flush()
            return self._receive(child, deadline)
        except (TimeoutError, BrokenPipeError, EOFError, ValueError) as error:
            self._kill()
            reason = f"the decoder took longer than {self._wall_seconds:.0f} s"
            if not isinstance(error, TimeoutError):
                reason = "the decoder crashed on it"
            raise UnreadableFile(reason) from error

    def _running_child(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._buffer = b""
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-m", "datasets.decode_worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={"OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        return self._child

    def _receive(self, child: subprocess.Popen[bytes], deadline: float) -> Picture:
        while b"\n" not in self._buffer:
            self._fill(child, deadline)
            if b"\n" not in self._buffer and len(self._buffer) > _HEADER_BYTES:
                raise ValueError("no header")
        line, self._buffer = self._buffer.split(b"\n", 1)
        header = json.loads(line)
        if "reason" in header:
            raise UnreadableFile(str(header["reason"]))
        height, width, channels = (int(n) for n in header["shape"])
        if channels != 3 or not 0 < height * width <= MAX_PIXELS:
            raise ValueError("impossible shape")
        parts, length, wanted = [self._buffer], len(self._buffer), height * width * 3
        while length < wanted:
            parts.append(self._read_some(child, deadline))
            length += len(parts[-1])
        pixels = b"".join(parts)
        self._buffer = pixels[wanted:]
        return np.frombuffer(pixels[:wanted], np.uint8).reshape(height, width, 3)

    def _fill(self, child: subprocess.Popen[bytes], deadline: float) -> None:
        self._buffer += self._read_some(child, deadline)

    def _read_some(self, child: subprocess.Popen[bytes], deadline: float) -> bytes:
        assert child.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
        chunk = os.read(child.stdout.fileno(), _CHUNK_BYTES)
        if not chunk:
            raise EOFError
        return chunk

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None
