"""Is a whole study sound? The chain of events, the database, the vectors, the pictures. Only reads."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.services import Services
from datasets import catalog
from datasets.files import sha256_of_file
from labeling.errors import ProbeGone, ProbeOutdated
from labeling.study import newest_probe
from labeling.suggestions import rebuild
from labeling.verification import MOST_PROBLEMS, check_chain


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What a look at the whole study found."""

    ok: bool
    events: int
    head: str
    """Hash of the newest event."""
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What could not be checked, though nothing says that it is wrong."""


def inspect_study(services: Services, anchors: Sequence[Path] = ()) -> Findings:
    """Check everything that can be checked without the original files.

    Args:
        services: The open workspace.
        anchors: Copies of the anchors file kept elsewhere.
    """
    chain = check_chain(services.database, anchors)
    problems = [*chain.problems, *services.database.integrity_problems()]
    problems += _first(_vector_problems(services.embeddings_folder))
    problems += _first(_picture_problems(services))
    notes = []
    try:
        problems += _first(_probe_problems(services))
    except ProbeOutdated as error:
        notes.append(
            f"{error} Its suggestions stand, unchecked, until the next fit: when the server starts, or `cytojepa fit`."
        )
    return Findings(ok=not problems, events=chain.events, head=chain.head, problems=tuple(problems), notes=tuple(notes))


def _first(found: Iterator[str]) -> list[str]:
    return [problem for _, problem in zip(range(MOST_PROBLEMS), found, strict=False)]


def _vector_problems(folder: Path) -> Iterator[str]:
    for index_path in sorted(folder.glob("*/shard-*.json")):
        name = f"embeddings/{index_path.parent.name}/{index_path.stem}"
        try:
            wanted = json.loads(index_path.read_text())["sha256"]
            if sha256_of_file(index_path.with_suffix(".npy")) != wanted:
                yield f"{name}: its numbers do not fit their hash; delete the shard and embed again."
        except (OSError, ValueError, KeyError):
            yield f"{name}: cannot be read; delete the shard and embed again."


def _picture_problems(services: Services) -> Iterator[str]:
    for cell_id in catalog.cell_ids(services.database):
        if not catalog.crop_path(services.home, cell_id).exists():
            yield f"cell {cell_id}: its picture is missing; restore a backup or ingest the file again."


def _probe_problems(services: Services) -> Iterator[str]:
    """Fit the newest probe again from the labels and settings that it names, and compare.

    Raises:
        ProbeOutdated: Another version of the program fitted it.
    """
    probe, store = newest_probe(services.database), services.store()
    if probe is None or store is None or probe.encoder_fingerprint != store.fingerprint:
        return
    try:
        again = rebuild(store, services.probes_folder, probe.id)
        kept = np.load(services.probes_folder / probe.id / "weights.npy", allow_pickle=False)
    except (ProbeGone, OSError, ValueError, KeyError) as error:
        yield f"probe {probe.id}: cannot be made again ({error}); run `cytojepa fit`."
        return
    # Bit for bit on the same machine; another processor's rounding may differ in the last digits.
    made = np.column_stack([again.coef_, again.intercept_])
    if made.shape != kept.shape or not np.allclose(made, kept, rtol=0, atol=1e-3 * np.abs(kept).max()):
        yield f"probe {probe.id}: its labels and settings do not give its weights; run `cytojepa fit`."
