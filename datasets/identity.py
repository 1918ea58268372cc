"""Study codes instead of names: keyed, so that a record number cannot be guessed back.

A file name can be a patient's name. Nothing outside the operator's terminal carries it: slides and
cells are known by a code that is an HMAC of what identified them, under the study's secret key.
"""

import base64
import hashlib
import hmac
import secrets
import unicodedata
from pathlib import Path

from datasets.files import write_atomically

KEY_BYTES = 32


def load_or_make_key(path: Path) -> bytes:
    """Return the study's secret key, making it (mode 0600) on the first call.

    Args:
        path: Usually `secret.key` in the workspace.

    Returns:
        32 bytes.
    """
    if not path.exists():
        write_atomically(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
    return path.read_bytes()


def study_code(key: bytes, domain: str, original: str) -> str:
    """Return the pseudonym of an identifier: domain, dash, 13 base-32 letters (64 bits).

    Args:
        key: The study's secret key.
        domain: Two letters that keep slides, cells and patients apart, for example `SL`.
        original: What identifies the thing; compared after NFKC, upper case and trimming.
    """
    normal = unicodedata.normalize("NFKC", original).upper().strip()
    digest = hmac.new(key, f"{domain}\x00{normal}".encode(), hashlib.sha256).digest()
    return f"{domain}-{base64.b32encode(digest[:9]).decode()[:13]}"


def cell_code(key: bytes, slide_sha256: str, x: float, y: float) -> str:
    """Return the code of a cell at a point of a slide.

    Args:
        key: The study's secret key.
        slide_sha256: What identifies the slide: the hash of its bytes.
        x: Centre in level-0 pixels; a tenth of a pixel tells points apart and survives a rewritten table.
        y: Centre in level-0 pixels.
    """
    return study_code(key, "CE", f"{slide_sha256}:{x:.1f}:{y:.1f}")
