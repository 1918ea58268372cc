"""How a job ended is kept so that everybody reads it in the own language."""

from pathlib import Path

import pytest

from app.job_files import FOLDER, Job, job_of, new_job, write_end
from app.job_run import running
from app.words import words
from datasets.told import told


def _ended(home: Path, sentence: str) -> Job:
    job_id = new_job(home, "ingest", by="mara", words=["ingest"], pid=None)
    write_end(home / FOLDER / job_id, "done", sentence)
    return job_of(home, job_id)


def test_told_sentence__is_read_back_in_any_language(tmp_path: Path) -> None:
    job = _ended(
        tmp_path, told("{slides} slides, {cells} cells, {labels} labels are new.", slides=2, cells=3, labels=0)
    )

    assert job.sentence == "2 slides, 3 cells, 0 labels are new."
    assert words("de").of(job.sentence) == "2 Präparate, 3 Zellen, 0 Befundungen sind neu."


def test_sentence_of_an_older_version__stays_as_it_is(tmp_path: Path) -> None:
    assert words("de").of(_ended(tmp_path, "2 slides").sentence) == "2 slides"


def test_stopped_job__says_so_in_german(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), running(tmp_path, "ingest") as job:
        raise KeyboardInterrupt

    assert words("de").of(job_of(tmp_path, job.folder.name).sentence).startswith("Angehalten. Was getan ist, bleibt")
