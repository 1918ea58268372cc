"""Tables that came after the tokens: marks, opinions, hospital accounts, planes, orders.

The opening of a study makes what is missing; this step gives it a number, by which a program that does not know
those tables refuses it.
"""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Leave the tables as they are."""
