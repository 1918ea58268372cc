"""Verbs that take long: their progress is told to the page Jobs, where they can be stopped and go on."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from app import job_run
from app.commands.output import verb
from app.settings import given_job

Verb = TypeVar("Verb", bound=Callable[..., None])


def long_verb(kind: str, *, is_alone: bool = False) -> Callable[[Verb], Verb]:
    """Make a verb a job of its study.

    Args:
        kind: What the page calls it, one lower-case word.
        is_alone: Two of this kind at once would harm each other.
    """

    def wrap(function: Verb) -> Verb:
        @functools.wraps(function)
        def held(*args: Any, **kwargs: Any) -> None:
            with as_job(kwargs["home"], kind, is_alone=is_alone):
                function(*args, **kwargs)

        return verb(held)  # type: ignore[return-value]  # wraps keeps the signature

    return wrap


@contextmanager
def as_job(home: Path, kind: str, *, is_alone: bool = False) -> Iterator[job_run.RunningJob]:
    """Be a job that the words of this command line start again."""
    words = _without_home(click.get_current_context().find_root().obj or ())
    with job_run.running(home, kind, words=words, given=given_job(), is_alone=is_alone) as job:
        yield job


def _without_home(words: Sequence[str]) -> list[str]:
    """Leave out the study: it is the one whose folder tells of the job, wherever that lies by then."""
    kept, is_value = [], False
    for word in words:
        if not is_value and word != "--home" and not word.startswith("--home="):
            kept.append(word)
        is_value = word == "--home"
    return kept
