"""Long jobs tell how far they are, stop, go on, and never hurt the pages when they die."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import job_files, job_run, jobs
from app.job_files import Job, JobError, read_row
from app.job_run import without_places
from app.services import Services
from datasets import catalog
from datasets.db import utc_now
from datasets.demo_slides import write_drawn_slides
from datasets.files import write_json
from labeling import audit
from tests.builders import drawn_study
from tests.waiting import PATIENCE_SECONDS

SMALL = ["--set", "image_px=64", "--set", "dim=96", "--set", "depth=2", "--set", "heads=3", "--set", "predictor_dim=48",
         "--set", "predictor_depth=1", "--set", "predictor_heads=3", "--set", "batch_size=8",
         "--set", "checkpoint_every=5", "--set", "monitor_every=1000"]  # fmt: skip


def _wait(services: Services, test, *, kind: str | None = None, seconds: float = PATIENCE_SECONDS) -> Job:
    """Wait until the newest job, of a kind, is as wished."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = [job for job in job_files.jobs(services.home) if kind in (None, job.kind)]
        if found and test(found[0]):
            return found[0]
        time.sleep(0.1)
    pytest.fail(f"not reached: {found[:1]}")


def _over(job: Job) -> bool:
    return not job.is_alive


@pytest.fixture
def study(tmp_path: Path):
    services = drawn_study(tmp_path / "home", tmp_path / "drawn", 1)
    yield services
    services.database.close()


def test_embed__started_from_a_page_counts_and_ends(study: Services) -> None:
    job_id = jobs.start_job(study, "embed", ["embed", "--encoder", "handcrafted"], by="mara")
    assert job_files.job_of(study.home, job_id).state == "starting"
    job = _wait(study, _over)
    cells = len(catalog.cell_ids(study.database))

    assert (job.id, job.state, job.by, job.done, job.total) == (job_id, "done", "mara", cells, cells)
    assert job.sentence.startswith(f"{cells} cells")
    assert jobs.words_to_resume(study.home, job) is None
    assert len(study.store()) == cells
    with study.database.read() as session:
        assert session.get(audit.Event, audit.head(session).seq).body.count('"kind":"job started"') == 1


def test_killed__is_told_as_dead_and_goes_on(study: Services) -> None:
    jobs.start_job(study, "pretrain", ["pretrain", "--steps=5000", *SMALL], by="mara")
    job = _wait(study, lambda job: job.stage == "step" and job.done >= 10)
    assert job.state == "running"
    assert job.per_second > 0
    session = Path(f"/proc/{job.pid}/autogroup")
    assert os.getpriority(os.PRIO_PROCESS, job.pid) == 10, "the pages come first"
    assert not session.exists() or session.read_text().endswith(" nice 10\n")
    os.kill(job.pid, signal.SIGKILL)
    job = _wait(study, _over)
    assert (job.state, "killed" in job.sentence, job.facts["run"]) == ("dead", True, "run-0001")
    assert jobs.words_to_resume(study.home, job) == ["pretrain", "--resume"]
    jobs.resume_job(study, job.id, by="mara")
    assert jobs.words_to_resume(study.home, job) is None
    again = _wait(study, lambda j: j.id != job.id and j.stage == "step" and j.done > 0)
    assert again.done > 5, "it went on and did not begin anew"
    jobs.stop_job(study, again.id, by="mara")
    stopped = _wait(study, _over)

    assert (stopped.state, stopped.done < 5000) == ("stopped", True)
    assert json.loads((study.home / "runs/run-0001/metrics.jsonl").read_text().splitlines()[-1])["step"] >= again.done
    assert jobs.words_to_resume(study.home, stopped) == ["pretrain", "--resume"]


def test_killed_before_its_first_checkpoint__begins_anew(tmp_path: Path) -> None:
    words = ["pretrain", "--preset", "demo", "--steps=50"]
    folder = tmp_path / "jobs" / job_files.new_job(tmp_path, "pretrain", by="mara", words=words, pid=1)
    write_json(folder / "job.json", read_row(folder / "job.json") | {"facts": {"run": "run-0001"}})
    job_files.write_end(folder, "dead", "gone")
    run = tmp_path / "runs" / "run-0001"
    write_json(run / "config.json", {})
    (job,) = job_files.jobs(tmp_path)
    assert jobs.words_to_resume(tmp_path, job) == words
    write_json(run / "checkpoints" / "step-0000100" / "manifest.json", {})

    assert jobs.words_to_resume(tmp_path, job) == ["pretrain", "--resume"]


def test_command_line__its_job_is_seen_and_can_be_stopped_and_go_on(study: Services, tmp_path: Path) -> None:
    write_drawn_slides(tmp_path / "more", seed=8, num_slides=4)
    before = catalog.counts(study.database)
    # It steps back, as jobs of the pages do: it must not be done before the test has looked.
    command = ["nice", sys.executable, "-m", "app.cli", "ingest", "more", "--mpp", "0.25", "--home", str(study.home)]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    job = _wait(study, lambda job: job.done >= 1, kind="ingest")
    assert (job.state, job.by, job.pid) == ("running", "command line", child.pid)
    jobs.stop_job(study, job.id, by="mara")
    job = _wait(study, _over, kind="ingest")
    assert (child.wait(), job.state) == (1, "stopped")
    between = catalog.counts(study.database)
    assert before.slides < between.slides < before.slides + 4, "stopped in the middle, and what was in stays"
    assert jobs.words_to_resume(study.home, job) == ["ingest", "more", "--mpp", "0.25"]
    jobs.resume_job(study, job.id, by="mara")
    job = _wait(study, lambda j: j.id != job.id and _over(j), kind="ingest")

    assert (job.state, catalog.counts(study.database).slides) == ("done", before.slides + 4)


def test_failure__says_its_sentence_without_file_names(study: Services, tmp_path: Path) -> None:
    secret = tmp_path / "DOEMANN^JANE 1970"  # a short name may stand in a code by chance
    jobs.start_job(study, "ingest", ["ingest", str(secret)], by="mara")
    job = _wait(study, _over, kind="ingest")
    assert job.state == "failed"
    assert "what was given" in job.sentence
    for path in job.folder.iterdir():
        if path.name != "command.json":
            assert b"DOEMANN" not in path.read_bytes(), path.name
    assert (job.folder / "command.json").stat().st_mode & 0o777 == 0o600
    secret.mkdir()
    write_drawn_slides(secret, seed=9, num_slides=1)
    jobs.resume_job(study, job.id, by="mara")
    _wait(study, lambda j: j.state == "done", kind="ingest")

    assert [p for p in (study.home / "jobs").rglob("*") if p.is_file() and b"DOEMANN" in p.read_bytes()] == []


def test_places__are_taken_out_of_sentences() -> None:
    words = ["ingest", "/in/DOE JANE", "--mpp=0.2"]

    assert without_places("/in/DOE JANE/x 1.svs: no scale", words) == "what was given: no scale"
    assert without_places("cannot write /srv/home/a.png, disk full", words) == "cannot write a file, disk full"


def test_unforeseen_error__keeps_where_but_not_what(study: Services) -> None:
    with pytest.raises(ZeroDivisionError), job_run.running(study.home, "detect"):
        raise ZeroDivisionError("DO" + "EMANN^JANE")  # the line itself, which a traceback quotes, holds no name
    job = job_files.jobs(study.home)[0]

    assert (job.state, "ZeroDivisionError" in job.sentence) == ("failed", True)
    assert "test_jobs.py" in (job.folder / "traceback.txt").read_text()
    assert not [p for p in job.folder.iterdir() if b"DOEMANN" in p.read_bytes()]


def test_second_of_a_kind__is_refused(study: Services) -> None:
    with job_run.running(study.home, "embed", is_alone=True):
        with pytest.raises(JobError, match="another job of this kind"):
            jobs.start_job(study, "embed", ["embed"], by="mara")
        command = [sys.executable, "-m", "app.cli", "embed", "--encoder", "handcrafted", "--home", str(study.home)]
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (other.returncode, "another job of this kind is at work" in other.stderr) == (1, True)

    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_stop__the_second_time_ends_it_at_once(study: Services) -> None:
    script = ("import time; from pathlib import Path; from app import job_run\n"
              f"with job_run.running(Path({str(study.home)!r}), 'detect', words=['detect']):\n"
              "  while True:\n    try:\n      print(flush=True)\n      time.sleep(600)\n"
              "    except KeyboardInterrupt: pass\n")  # fmt: skip
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    with child.stdout as said:
        assert said.readline() == b"\n"
        job = _wait(study, lambda job: job.state == "running")
        jobs.stop_job(study, job.id, by="mara")
        assert said.readline() == b"\n"  # it caught the first wish and goes on
        assert (child.poll(), job_files.job_of(study.home, job.id).state) == (None, "stopping")
        jobs.stop_job(study, job.id, by="mara")
        assert child.wait() == -signal.SIGKILL
    assert job_files.job_of(study.home, job.id).state == "dead"
    with pytest.raises(JobError, match="not at work"):
        jobs.stop_job(study, job.id, by="mara")
    with pytest.raises(JobError, match="no such job"):
        jobs.stop_job(study, "../../etc", by="mara")


def test_old_jobs__are_forgotten_but_not_those_at_work(tmp_path: Path) -> None:
    with job_run.running(tmp_path, "detect"):
        for number in range(job_files.MOST_KEPT + 5):
            folder = tmp_path / "jobs" / job_files.new_job(tmp_path, "ingest", by="x", words=[], pid=None)
            job_files.write_end(folder, "done", str(number))
        known = job_files.jobs(tmp_path)

        assert len(known) <= job_files.MOST_KEPT + 2
        assert sum(job.is_alive for job in known) == 1
    assert utc_now() >= known[0].at
