"""`testset`: slides that no probe ever learns from, chosen once, and what the suggestions are worth on them."""

from dataclasses import asdict
from pathlib import Path

import click

from app.commands.output import emit, home_option, json_option, verb
from app.services import Services
from labeling import blindtest


@click.command()
@click.option("--choose", "is_choosing", is_flag=True, help="Choose the slides; once for a study, before labelling.")
@click.option("--percent", type=click.IntRange(5, 50), default=20, help="Share of the slides to choose.")
@home_option
@json_option
@verb
def testset(is_choosing: bool, percent: int, home: Path, as_json: bool) -> None:
    """Wall a blind test set off from the loop, or show the figures on it."""
    services = Services.open_existing(home)
    try:
        chosen = blindtest.choose(services.database, percent=percent) if is_choosing else ()
        slides = blindtest.num_slides(services.database)
        found = blindtest.figures(services.database, services.probes_folder, services.store(), services.label_set)
    finally:
        services.database.close()
    result = {"slides": slides, "chosen": list(chosen), "figures": None if found is None else asdict(found)}
    emit(as_json, result, [_state(slides), *([] if found is None else [found.sentence()])])


def _state(slides: int) -> str:
    if not slides:
        return "This study has no blind test set; cytojepa testset --choose makes one before doctors begin."
    return f"{slides} slides are the blind test set: labelled like the others, learned from by nothing."
