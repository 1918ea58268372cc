"""`testset`: slides that no probe ever learns from, chosen once, and what the suggestions are worth on them."""

from dataclasses import asdict
from pathlib import Path

import click

from app.commands.output import emit, home_option, json_option, verb
from app.services import Services
from labeling import blindtest
from labeling.blindtest import BlindFigures


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
    emit(as_json, result, [_state(slides), *([] if found is None else [sentence(found)])])


def _state(slides: int) -> str:
    if not slides:
        return "This study has no blind test set; cytojepa testset --choose makes one before doctors begin."
    return f"{slides} slides are the blind test set: labelled like the others, learned from by nothing."


def sentence(found: BlindFigures) -> str:
    """Say what the present probe is worth on the blind test set."""
    judged = found.judgement
    words = (
        f"Blind test set, {judged.cells} cells of {judged.slides} slides: balanced accuracy "
        f"{judged.balanced_accuracy:.3f} ({judged.low:.3f} to {judged.high:.3f}), calibration error "
        f"{judged.calibration_error:.3f}"
    )
    if judged.coverage is not None:
        words += f"; {judged.set_size:.1f} classes in a set, {100 * judged.coverage:.0f} % hold the right one"
    if found.disputed + found.seen:
        words += f"; left out: {found.disputed} disputed cells, {found.seen} labels given after the suggestion"
    return f"{words}."
