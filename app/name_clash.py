"""The fence against Hugging Face's `datasets`, which would be imported instead of ours."""

from importlib.util import find_spec
from pathlib import Path


def refuse_foreign_datasets() -> str | None:
    """Return a sentence when `import datasets` would find another package than ours, else None."""
    ours = Path(__file__).resolve().parent.parent / "datasets"
    spec = find_spec("datasets")
    found = Path(spec.origin).resolve().parent if spec and spec.origin else None
    if found == ours:
        return None
    return (
        f"the package `datasets` is found in {found}, CytoJEPA's own is in {ours}. "
        "Install CytoJEPA in an environment of its own, without Hugging Face's datasets."
    )
