"""The child process in which untrusted bytes are decoded: limited memory, CPU, files; no writing.

Started by `sandbox` as `python -I -m datasets.decode_worker`. Requests and answers are JSON lines;
pixels follow an answer as raw bytes. Nothing is pickled, so a hijacked child cannot send code.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import BinaryIO

from datasets.errors import UnreadableFile
from datasets.readers.flat import read_picture

MEMORY_BYTES = 4 << 30
CPU_SECONDS = 30
"""For one file; the soft limit is moved forward before each."""


def limit_process() -> None:
    """Take away what decoding does not need: writing files, core dumps, more memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests `{"path": ...}` until the input ends.

    An answer is `{"shape": [H, W, 3]}` and H*W*3 bytes, or `{"reason": "..."}`.
    """
    for line in requests:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        try:
            picture = read_picture(Path(json.loads(line)["path"]))
        except UnreadableFile as error:
            _send(answers, {"reason": error.reason})
        except MemoryError:
            _send(answers, {"reason": f"needs more than {MEMORY_BYTES >> 30} GB of memory"})
        except Exception as error:  # noqa: BLE001  decoders raise types that nobody can list
            _send(answers, {"reason": f"damaged: {type(error).__name__}"})
        else:
            _send(answers, {"shape": picture.shape}, picture.tobytes())


def _send(answers: BinaryIO, header: dict[str, object], pixels: bytes = b"") -> None:
    answers.write(json.dumps(header).encode() + b"\n" + pixels)
    answers.flush()


def main() -> None:
    """Run the worker on its standard streams; stray prints of libraries go to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    limit_process()
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
