"""What a file says, held against the study: which cell, which category, whose label, what past."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from datasets.bethesda import LabelSet
from datasets.catalog import Cell, Slide
from datasets.db import Database
from datasets.files import sha256_of_file
from datasets.geometry import um_to_px
from datasets.identity import study_code
from datasets.public import PUBLIC_WORDS
from labeling.errors import LabelRefused
from labeling.export.rows import COLUMNS
from labeling.imports.store import ImportedLabel
from labeling.imports.values import (
    CONFIDENCES,
    flag_in,
    history_in,
    key_in,
    moment_in,
    number_in,
    picture_names,
    text_in,
    word_in,
)
from labeling.records import IMPORTED

NEAR_UM, NEAR_PX = 5.0, 20.0
"""How far from a cell's centre a point may lie: half a nucleus; in pixels where um/px is unknown."""
_KNOWN = frozenset({*COLUMNS, "image", "file", "slide_uid", "unclear", "classes"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One label as a file tells it, under the names of the export's columns."""

    where: str
    """Row or object, for the list of what was refused."""
    values: Mapping[str, Any]
    """Also `image`: a file name that tells slide or cell; `file`: the picture itself, known by its bytes;
    `slide_uid`: what a DICOM object refers to; `classes`: the parts of a nested class; `unclear`: why it may not be
    used."""
    changed_from: str | None = None
    """The category that the label had when it left, where another program has changed it."""


class Resolver:
    """Turns what files say into labels of this study.

    Args:
        database: The study's database.
        label_set: The study's answers.
        annotator: Whose labels they become; None: the file's own annotators, else "imported".
        secret_key: The study's key, by which a picture's bytes tell its cell or slide; None: they do not.
    """

    def __init__(
        self, database: Database, label_set: LabelSet, annotator: str | None, secret_key: bytes | None = None
    ) -> None:
        self._database, self._annotator, self._secret_key = database, annotator, secret_key
        self._by_uid: dict[str, str] = {}
        self._words = categories_by_word(label_set)
        self.label_set = label_set
        self.left_out: Counter[str] = Counter()
        """Rows of which something was not taken in, by the column's name."""
        self._points: dict[str, tuple[list[str], NDArray[np.float64]]] = {}
        self._hashes: dict[Path, tuple[str, str]] = {}
        with database.read() as session:
            self._cells = set(session.scalars(select(Cell.id)))
            self._slides: dict[str, float | None] = dict(session.execute(select(Slide.id, Slide.mpp)).all())

    def label(self, found: Found) -> ImportedLabel:
        """Return the label.

        Raises:
            LabelRefused: It does not fit, with the reason.
        """
        values, annotator = found.values, self.annotator(found.values)
        self._count_left_out(values)
        if found.changed_from is not None and self._annotator is None:
            raise LabelRefused(
                f"its category was changed from {found.changed_from}; say by whom with --annotator NAME."
            )
        is_own = found.changed_from is None and annotator == word_in(values, "annotator")
        return ImportedLabel(
            cell_id=self.cell(values), category=self.category(values), annotator=annotator,
            key=key_in(values) if is_own else None,
            history=history_in(values) if found.changed_from is None else {},
            taken_back_at=moment_in(values, "taken_back_at") if is_own else None,
            encoder_fingerprint=text_in(values, "encoder_fingerprint") if found.changed_from is None else None,
            was_told=is_own and bool(flag_in(values, "suggestion_told")),
        )  # fmt: skip

    def _count_left_out(self, values: Mapping[str, Any]) -> None:
        self.left_out.update(name for name in values if name not in _KNOWN and word_in(values, name) is not None)
        if word_in(values, "confidence") not in CONFIDENCES:
            self.left_out["confidence"] += 1
        if word_in(values, "encoder_fingerprint") and not word_in(values, "probe"):
            self.left_out["encoder_fingerprint"] += 1  # of what, nobody knows

    def annotator(self, values: Mapping[str, Any]) -> str:
        """Return whose row it becomes.

        Raises:
            LabelRefused: The name is not usable.
        """
        annotator = self._annotator or word_in(values, "annotator") or IMPORTED
        if not (len(annotator) <= 64 and annotator.isprintable()):
            raise LabelRefused("the annotator's name is not 1 to 64 visible characters.")
        return annotator

    def category(self, values: Mapping[str, Any]) -> str:
        """Return the category's id.

        Raises:
            LabelRefused: There is none, or it is not in the label set.
        """
        word = word_in(values, "category")
        if word is None:
            raise LabelRefused("no category.")
        category = self._words.get(normal_word(word)) or self._one_of(values.get("classes"))
        if category is None:
            raise LabelRefused(
                f"category {word[:64]}: not in the label set {self.label_set.id} ({', '.join(self.label_set.ids)})."
            )
        return category

    def _one_of(self, classes: Any) -> str | None:
        """Return the only category among the parts of a nested class; the others say something else of the cell."""
        found = {self._words.get(normal_word(str(part))) for part in classes or ()} - {None}
        if len(found) != 1:
            return None
        self.left_out["nested classes"] += 1
        return found.pop()

    def slide(self, values: Mapping[str, Any]) -> str:
        """Return the slide that a row is about.

        Raises:
            LabelRefused: It is not in the catalogue.
        """
        slide = word_in(values, "slide") or ""
        if slide not in self._slides:
            raise LabelRefused(f"slide {slide[:40]}: not in the catalogue; ingest it first.")
        return slide

    def cell(self, values: Mapping[str, Any]) -> str:
        """Return the cell that a row is about: by its id, its picture, or the nearest to a place on a slide.

        Raises:
            LabelRefused: There is none.
        """
        cell_id = word_in(values, "cell")
        if cell_id in self._cells and cell_id is not None:
            return cell_id
        images = picture_names(word_in(values, "image") or "")
        if by_name := [name for name in images if name in self._cells]:
            return by_name[0]
        by_bytes = self._codes(values.get("file"))
        names = [
            self._slide_of_uid(word_in(values, "slide_uid")),
            cell_id,
            word_in(values, "slide"),
            *images,
            *by_bytes,
        ]
        if by_bytes and by_bytes[0] in self._cells:
            return by_bytes[0]
        slide = next((name for name in names if name in self._slides), None)
        x, y = number_in(values, "x_px"), number_in(values, "y_px")
        if values.get("unclear"):
            raise LabelRefused(str(values["unclear"]))
        if slide is None or x is None or y is None:
            if cell_id:
                raise LabelRefused(f"cell {cell_id[:40]}: not in the catalogue; ingest it first.")
            raise LabelRefused("it names no cell, and no slide of the catalogue with x and y.")
        return self._nearest(slide, x, y)

    def _codes(self, file: Any) -> tuple[str, ...]:
        """Return the codes that a picture's bytes have as a cell and as a slide, as `ingest` makes them."""
        if self._secret_key is None or not isinstance(file, Path):
            return ()
        if file not in self._hashes:
            sha256 = sha256_of_file(file)
            self._hashes[file] = study_code(self._secret_key, "CE", sha256), study_code(self._secret_key, "SL", sha256)
        return self._hashes[file]

    def _slide_of_uid(self, uid: str | None) -> str | None:
        if uid is None:
            return None
        if not self._by_uid:
            from labeling.export.dicom_slide import referred_slide  # pydicom takes half a second

            home = self._database.folder
            self._by_uid = {str(referred_slide(i, (None, None), home).SOPInstanceUID): i for i in sorted(self._slides)}
        return self._by_uid.get(uid)

    def _nearest(self, slide: str, x: float, y: float) -> str:
        ids, points = self._points_of(slide)
        mpp = self._slides[slide]
        reach = NEAR_PX if mpp is None else um_to_px(NEAR_UM, mpp)
        distances = np.hypot(points[:, 0] - x, points[:, 1] - y)
        if not len(ids) or distances.min() > reach:
            nearest = f"; the nearest is {distances.min():.0f} px away" if len(ids) else ""
            raise LabelRefused(f"slide {slide}: no cell within {reach:.0f} px of {x:.0f}, {y:.0f}{nearest}.")
        return ids[int(distances.argmin())]

    def _points_of(self, slide: str) -> tuple[list[str], NDArray[np.float64]]:
        if slide not in self._points:
            query = select(Cell.id, Cell.x, Cell.y).where(Cell.slide_id == slide, Cell.x.is_not(None)).order_by(Cell.id)
            with self._database.read() as session:
                rows = session.execute(query).all()
            places = np.array([(x, y) for _, x, y in rows], np.float64).reshape(-1, 2)
            self._points[slide] = [cell_id for cell_id, _, _ in rows], places
        return self._points[slide]


def categories_by_word(label_set: LabelSet) -> dict[str, str]:
    """Return the category's id by its id and its name, as `normal_word` spells them."""
    own = {normal_word(word): c.id for c in label_set.categories for word in (c.name, c.id)}
    others = {normal_word(word): i for word, i in PUBLIC_WORDS.items() if i in label_set.ids}
    return {**others, **own}


def normal_word(word: str) -> str:
    """Return a name without what people spell differently: case, spaces, underscores."""
    return word.casefold().strip().replace("_", "-").replace(" ", "-")
