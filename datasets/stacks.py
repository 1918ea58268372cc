"""Folders whose pictures are focal planes of one field."""

from dataclasses import replace
from pathlib import Path

from datasets.errors import LayoutError
from datasets.public import Plan, StackFiles

LARGEST_STEP_UM = 20.0
"""No smear is so thick that its planes would lie farther apart."""


def as_stacks(found: Plan, step_um: float) -> Plan:
    """Take the pictures of each folder for focal planes of one field, in the order of their names, lowest first.

    Args:
        found: A plan of pictures.
        step_um: Distance of neighbouring planes in micrometres.

    Raises:
        LayoutError: The distance makes no sense, or the plan holds something else than pictures.
    """
    if not 0 < step_um <= LARGEST_STEP_UM:
        raise LayoutError(
            f"planes {step_um} um apart: give a distance of more than 0 and at most {LARGEST_STEP_UM:.0f} um."
        )
    if found.cells or not found.fields:
        raise LayoutError("focal planes are pictures in a folder of their own for each field; give that folder.")
    known = tuple(StackFiles(paths=f.planes, step_um=step_um, points=f.points) for f in found.fields if f.planes)
    if known:
        return replace(found, fields=(), stacks=known)
    folders: dict[Path, list[Path]] = {}
    for file in found.fields:
        folders.setdefault(file.path.parent, []).append(file.path)
    stacks = tuple(StackFiles(paths=tuple(sorted(paths)), step_um=step_um) for paths in folders.values())
    return replace(found, fields=(), stacks=stacks)
