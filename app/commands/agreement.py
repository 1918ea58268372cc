"""`agreement`: how doctors agree with each other and with themselves, and whether more labels pay."""

from pathlib import Path

import click

from app import agreement_figures as figures
from app.agreement_figures import Quality
from app.commands.output import emit, home_option, json_option, table, verb
from app.services import Services
from labeling.agreement import LITERATURE


@click.command()
@home_option
@json_option
@verb
def agreement(home: Path, as_json: bool) -> None:
    """Measure agreement, consistency, what more labels bring, and whether the queue beats chance."""
    services = Services.open_existing(home)
    found = figures.write_figures(services)
    services.database.close()
    emit(as_json, found.as_json(), _lines(found))


def _lines(found: Quality) -> list[str]:
    lines = []
    named = [(name, "doctors", value) for name, value in found.agreement.items()]
    named += [(name, "with himself", value) for name, value in found.intra.items()]
    if named:
        lines += table(
            ("figure", "of", "value", "low", "high", "pairs", "cells"),
            [(name, of, x.value, x.low, x.high, x.pairs, x.cells) for name, of, x in named],
        )
        low, high, what = LITERATURE["inter"]
        lines.append(f"Published for {what}: {low} to {high}; the same reader again: {LITERATURE['intra'][0]}.")
    else:
        lines.append("No cell has been decided by two doctors, or twice by one: agreement cannot be measured yet.")
    if found.stop:
        lines += table(
            ("category", "labels", "moved by the last 64", "gain of 100 more", "low", "high", "advice"),
            [(s.category, s.labels, s.churn, s.gain, s.low, s.high, s.advice) for s in found.stop],
        )
    lines.append(figures.gain_sentence(found.arms))
    strange = figures.strange_sentence(found.strange)
    lines += [strange] if strange else []
    if found.second_look:
        lines.append(f"Worth a second look: {', '.join(row.cell_id for row in found.second_look)}")
    return lines
