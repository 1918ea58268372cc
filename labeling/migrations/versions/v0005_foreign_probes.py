"""Labels from other studies bring along which encoder was behind their suggestions."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table of other studies' probes."""
    op.create_table(
        "foreign_probes",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("encoder_fingerprint", sa.String(64), nullable=False),
    )
