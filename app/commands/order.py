"""`order`: which cells the study wants first, and which alone."""

from pathlib import Path

import click

from app.commands.output import emit, home_option, json_option, verb
from app.services import Services
from labeling import orders
from labeling.accounts import COMMAND_LINE, doctors
from labeling.orders import Order

SAID = {
    "first_slides": "first: cells of the slides",
    "first_classes": "first, in every second uncertain place at most: cells suggested as",
    "only_slides": "nothing but cells of the slides",
    "second_reads_of": "in every second place: a second reader for cells of",
    "second_readers": "these second reads are done by",
}


@click.command()
@click.option("--first-slide", "first_slides", multiple=True, metavar="ID", help="Its cells come first; repeatable.")
@click.option("--first-class", "first_classes", multiple=True, metavar="ID", help="Cells suggested as this come first.")
@click.option("--only-slide", "only_slides", multiple=True, metavar="ID", help="Nothing but its cells; repeatable.")
@click.option(
    "--second-reads-of", multiple=True, metavar="NAME", help="A second doctor decides what this one labelled."
)
@click.option(
    "--second-reader", "second_readers", multiple=True, metavar="NAME", help="Who does that; else all doctors."
)
@click.option("--clear", "is_clearing", is_flag=True, help="Back to the order of the rules.")
@home_option
@json_option
@verb
def order(first_slides: tuple[str, ...], first_classes: tuple[str, ...], only_slides: tuple[str, ...],
          second_reads_of: tuple[str, ...], second_readers: tuple[str, ...], is_clearing: bool, home: Path,
          as_json: bool) -> None:  # fmt: skip
    """Set the order of work for all doctors in place of the one before, or show it; it holds from the next refit."""
    wanted = Order(first_slides=first_slides, first_classes=first_classes, only_slides=only_slides,
                   second_reads_of=second_reads_of, second_readers=second_readers)  # fmt: skip
    if is_clearing and wanted != Order():
        raise click.UsageError("--clear stands alone.")
    services = Services.open_existing(home)
    try:
        if is_clearing or wanted != Order():
            orders.give(services.database, wanted, by=COMMAND_LINE, label_set=services.label_set,
                        doctors=doctors(services.database))  # fmt: skip
        found = orders.read(services.database).as_lists()
    finally:
        services.database.close()
    lines = [f"{SAID[name]} {', '.join(value)}" for name, value in found.items() if value]
    emit(as_json, found, lines or ["as the rules find it"])
