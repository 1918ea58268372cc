"""The table of what is known of other studies' probes; rows are only ever added."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from datasets.db import Base


class ForeignProbe(Base):
    """On which encoder's vectors a probe of another study was fitted. Written by `imports`.

    Labels that come from there name the probe whose suggestion was on screen; its arrays and figures stay behind.
    """

    __tablename__ = "foreign_probes"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    encoder_fingerprint: Mapped[str] = mapped_column(String(64))
