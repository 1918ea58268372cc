"""Pin a folder of wheels by their own hashes: what `make wheelhouse` has gathered installs without a network."""

import hashlib
import sys
from pathlib import Path

from packaging.utils import parse_wheel_filename

HEAD = """# Install without a network, every file checked against its hash:
#   python3 -m venv cytojepa && cytojepa/bin/pip install --no-index --find-links . --require-hashes -r requirements.txt
"""


def pin(folder: Path) -> Path:
    """Write `requirements.txt` and `SHA256SUMS` for all wheels of a folder; return the first.

    Raises:
        SystemExit: With the sentence that says which wheel does not fit.
    """
    lines, sums = [], []
    for wheel in sorted(folder.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        with wheel.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{digest}")
        sums.append(f"{digest}  {wheel.name}")
    if not lines:
        raise SystemExit(f"{folder}: no wheel in it.")
    requirements = folder / "requirements.txt"
    requirements.write_text(HEAD + "\n".join(lines) + "\n")
    sums.append(f"{hashlib.sha256(requirements.read_bytes()).hexdigest()}  {requirements.name}")
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return requirements


if __name__ == "__main__":
    pin(Path(sys.argv[1]))
