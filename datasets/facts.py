"""How safe a database is set up: one fact, one remedy."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """What was found, and what to do where it is not as it should be."""

    name: str
    ok: bool
    remedy: str
