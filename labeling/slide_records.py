"""The tables of what doctors add to slides. Each names its one writer; rows are only ever added."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from datasets.db import Base, UtcDateTime


class Find(Base):
    """An annotator marked a cell that nobody had found, in level-0 pixels. Written by `finds`; never changed."""

    __tablename__ = "finds"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey("cells.id"), unique=True)
    annotator: Mapped[str] = mapped_column(String(64))
    x: Mapped[float]
    y: Mapped[float]
    """Centre in level-0 pixels."""
    width_px: Mapped[float]
    height_px: Mapped[float]
    """Of the box in level-0 pixels; 0 for a point."""
    z_um: Mapped[float]
    """The focal plane that was on screen."""
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Opinion(Base):
    """What an annotator says of a whole slide. Written by `opinions`, from files by `imports`; the newest counts."""

    __tablename__ = "opinions"
    __table_args__ = (Index("opinions_by_slide", "slide_id", "annotator"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"))
    annotator: Mapped[str] = mapped_column(String(64))
    adequacy: Mapped[str | None] = mapped_column(String(16))
    zone: Mapped[str | None] = mapped_column(String(16))
    """Cells of the endocervix or transformation zone: "present" or "absent"."""
    category: Mapped[str | None] = mapped_column(String(64))
    comment: Mapped[str | None] = mapped_column(String(500))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
