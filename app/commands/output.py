"""What every verb shares: its options, its one JSON object, its errors in one sentence."""

import functools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
from tqdm import tqdm

from app import job_run
from app.settings import resolve_home
from datasets.errors import DatasetError
from datasets.folders import is_no_room
from jepa.errors import JepaError
from labeling.errors import LabelingError

Verb = TypeVar("Verb", bound=Callable[..., None])

home_option = click.option(
    "--home", metavar="DIR", callback=lambda _ctx, _param, value: resolve_home(value),
    help="The study's folder [default: CYTOJEPA_HOME, else ./cytojepa-home].",
)  # fmt: skip
workers_option = click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
                              help="Processes that work on files or slides at once.")  # fmt: skip
cluster_option = click.option("--cluster", metavar="ADDRESS",
                              help="A Ray cluster instead: auto, HOST:PORT or ray://HOST:PORT.")  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def verb(function: Verb) -> Verb:
    """Turn the errors that users can cause into one sentence on stderr and exit code 1."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except job_run.Stopped as stop:
            # Not click's "Aborted!": the refit of a server that is stopped would say it in the server's own log.
            raise click.exceptions.Exit(1) from stop
        except (DatasetError, JepaError, LabelingError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(os_sentence(error)) from error

    return guarded  # type: ignore[return-value]  # wraps keeps the signature


def os_sentence(error: OSError) -> str:
    """Return what the system refused, and of what an account may not do, the way out."""
    sentence = f"{error.filename}: {error.strerror or error}." if error.filename else f"{error.strerror or error}."
    if is_no_room(error):
        sentence += " What was stored before stays: make room on the study's disk, and run this again."
    if isinstance(error, PermissionError):
        sentence += (f" This account (number {os.geteuid()}) may not do that: be the account the study belongs to, "
                     "or let whoever administers this machine make a folder that belongs to yours.")  # fmt: skip
    return sentence


def emit(as_json: bool, result: dict[str, Any], lines: Iterable[str], *, sentence: str = "") -> None:
    """Print the result: one JSON object, or lines for people. The page Jobs shows `sentence`, else the first line."""
    lines = list(lines)
    if (job := job_run.current()) is not None:
        job.sentence = sentence or (lines[0] if lines else "")
    click.echo(json.dumps(result) if as_json else "\n".join(lines))


def shown(text: object) -> str:
    """Return a text as one line for a terminal: the name of a file may hold line ends, commands, bytes of no letter."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lay out rows in columns as wide as their widest value; numbers stand to the right."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [[*header], *cells]
    numeric = [all(_is_number(row[i]) for row in cells) for i in range(len(header))]
    return [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    ]


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit() or text == "-"


class ProgressBar:
    """A bar on stderr that a callback (done, total) moves; a job tells its page too."""

    def __init__(self, description: str, unit: str, *, is_shown: bool = True) -> None:
        self._bar = tqdm(desc=description, unit=unit, leave=False, dynamic_ncols=True, disable=not is_shown)
        self._description, self._unit, self._note = description, unit, ""

    def __call__(self, done: int, total: int) -> None:
        """Move the bar to `done` of `total`."""
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        if (job := job_run.current()) is not None:
            job.progress(self._unit, done, total, self._note)

    def enter(self, description: str, unit: str) -> None:
        """Begin to count something else, unless that is what it counts already."""
        if description != self._description:
            self._description, self._unit, self._bar.unit = description, unit, unit
            self._bar.set_description(description, refresh=False)
            self._bar.reset()

    def note(self, text: str) -> None:
        """Show a few words behind the bar."""
        self._note = text
        self._bar.set_postfix_str(text, refresh=False)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
