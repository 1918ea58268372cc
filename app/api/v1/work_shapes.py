"""What goes over the wire about work to come: cells that are asked, choices among them, the study's order."""

from pydantic import Field

from app.api.v1.shapes import MOST_EVENTS, CellShown, Moment, Name, Progress, Shape, Suggestion


class WorkCell(CellShown):
    """A cell that is leased to this account."""

    reason: str = Field(description="Why it is asked.", examples=["ASC-US or LSIL is unclear"])
    suggestion: Suggestion | None = Field(description="Only where the study shows it before the answer.")
    until: Moment | None = Field(description="End of the lease.")


class Worklist(Shape):
    """The next cells of an account."""

    items: list[WorkCell] = Field(description="In the order in which to decide them; empty: nothing is left.")
    done: list[str] = Field(description="Those of `held` that this account has answered meanwhile.")
    progress: Progress
    until: Moment = Field(description="Until then they and those of `held` are this account's.")
    edition: str = Field(
        description="Of the ranked list. Another one: it has been made anew, and cells that nobody has seen may be "
        "given back (`unseen`) and asked for again."
    )


class SlideLeft(Shape):
    """Cells of a slide that are left for the account."""

    slide: str = Field(examples=["SL-7TN2WQ4MXK5PB"])
    left: int


class CategoryLeft(Shape):
    """Cells that are suggested as a category and left for the account."""

    category: str = Field(examples=["HSIL"])
    left: int


class GroundLeft(Shape):
    """Cells that the ranked list asks on one ground, as far as it is made now."""

    ground: str = Field(description="unclear: between two answers; unlike: the cells labelled so far.")
    left: int


class Choices(Shape):
    """What an account may ask the worklist for, and how many cells are left of it."""

    left: int = Field(description="Of what this question asks for.")
    slides: list[SlideLeft] = Field(description="Slides with cells that are left.")
    categories: list[CategoryLeft] | None = Field(
        description="On the asked slides; null where the study hides suggestions until the answer, or has none yet."
    )
    grounds: list[GroundLeft] = Field(description="On the asked slides.")


class Order(Shape):
    """Which cells the study wants first, and which alone; an empty list: as the rules find it."""

    first_slides: list[Name] = Field([], max_length=MOST_EVENTS, description="Their cells come first.")
    first_classes: list[Name] = Field(
        [], max_length=MOST_EVENTS, description="So suggested: every second uncertain one."
    )
    only_slides: list[Name] = Field([], max_length=MOST_EVENTS, description="Nothing but their cells is asked.")
    second_reads_of: list[Name] = Field([], max_length=MOST_EVENTS, description="A second account decides their cells.")
    second_readers: list[Name] = Field([], max_length=MOST_EVENTS, description="Who does that; empty: whoever labels.")
