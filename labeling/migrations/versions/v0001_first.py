"""The schema of version 0.1.0: the ground on which the others stand. Nothing to do."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Leave the tables as they are."""
