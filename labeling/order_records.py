"""The table of the orders in which a study is worked through; rows are only ever added."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from datasets.db import Base, UtcDateTime


class WorkOrder(Base):
    """What comes first, and what alone is asked. Written by `orders`; the newest row counts."""

    __tablename__ = "work_orders"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    wanted: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The fields of `orders.Order`."""
    made_by: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
