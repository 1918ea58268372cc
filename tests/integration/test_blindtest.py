"""The blind test set: what doctors say of it reaches no probe, no figure of the loop and no choice of cells."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.cli import cytojepa
from app.services import Services
from datasets import catalog
from labeling import blindtest, leases
from labeling.errors import BlindTestRefused
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.mixture import TEST
from labeling.records import Candidate
from labeling.study import Study
from labeling.suggestions import refit
from tests.builders import VECTOR_CELLS, VECTOR_CLASSES, vector_study
from tests.builders import vector_truth as truth

CELLS, CLASSES = VECTOR_CELLS, VECTOR_CLASSES


@pytest.fixture
def study(services: Services) -> Services:
    return vector_study(services)


def _refit(study: Services):
    groups = catalog.slide_of_cells(study.database)
    return refit(study.database, study.store(), study.probes_folder, study.label_set, groups=groups, reads=1)


def _answer(study: Services, answers: dict[int, str], prefix: str) -> list[str]:
    events = [LabelEvent(key=f"{prefix}{n}", cell_id=f"CE{n:05d}", category=name) for n, name in answers.items()]
    assert all(r.accepted for r in record(study.database, "ada", events, label_set=study.label_set))
    return [event.key for event in events]


def _run(*arguments: str) -> dict:
    result = CliRunner().invoke(cytojepa, list(arguments))
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _cells_by_side(study: Services) -> tuple[list[int], list[int]]:
    chosen = set(blindtest.choose(study.database, percent=25))
    places = {side: [n for n in range(CELLS) if (f"SL{n // 20}" in chosen) == side] for side in (False, True)}
    return places[False], places[True]


def _learned(study: Services) -> tuple[object, ...]:
    """Return all that a refit makes, bit for bit, but what it hands out of the test set itself."""
    report = _refit(study)
    folder = study.probes_folder / report.probe_id
    with study.database.read() as session:
        rows = session.scalars(select(Candidate).where(Candidate.arm != TEST).order_by(Candidate.rank)).all()
    opened = Study.open(study.database, study.store(), study.label_set,
                        groups=catalog.slide_of_cells(study.database), reads=1)  # fmt: skip
    return (
        report.probe_id, report.labels, (folder / "weights.npy").read_bytes(), (folder / "labels.json").read_bytes(),
        (folder / "probabilities.npy").read_bytes(), [(r.cell_id, r.arm, r.score) for r in rows],
        opened.training.vectors.tobytes(), opened.evidence.random,
    )  # fmt: skip


def test_wall__no_label_of_the_test_set_reaches_a_probe(study: Services) -> None:
    learn, test = _cells_by_side(study)
    _answer(study, {n: truth(n) for n in learn[:90]}, "k")
    before = _learned(study)
    turn = [0]

    # Each example is taken back afterwards, so that the study is the same for the next.
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(test), st.sampled_from([*CLASSES, "SCC", "squamous-abnormal"]), min_size=1))
    def any_answers(answers: dict[int, str]) -> None:
        turn[0] += 1
        keys = _answer(study, answers, f"t{turn[0]}-")
        assert _learned(study) == before
        record(study.database, "ada", [UndoEvent(key=f"u{key}", label_key=key) for key in keys],
               label_set=study.label_set)  # fmt: skip

    any_answers()
    _answer(study, {learn[95]: truth(learn[95])}, "more")
    assert _learned(study) != before


def test_wall__the_same_labels_elsewhere_do_teach(study: Services) -> None:
    learn, test = _cells_by_side(study)
    _answer(study, {n: truth(n) for n in [*learn[:60], *test]}, "k")

    assert _refit(study).labels == 60


def test_queue__test_cells_come_in_their_share_blind_and_only_as_such(study: Services) -> None:
    learn, test = _cells_by_side(study)
    _answer(study, {n: truth(n) for n in learn[:60]}, "k")
    _refit(study)
    with study.database.read() as session:
        rows = session.scalars(select(Candidate).order_by(Candidate.rank)).all()
    inside = {f"CE{n:05d}" for n in test}
    arms = [row.arm for row in rows if row.cell_id in inside]
    items = leases.take(study.database, "ben", 60, reads=1, lease_seconds=60)

    assert set(arms) == {TEST}
    assert {row.cell_id for row in rows if row.arm == TEST} <= inside
    assert 10 <= len(arms) <= 16
    assert [item.may_show for item in items if item.cell_id in inside] == [False] * sum(
        item.cell_id in inside for item in items
    )


def test_figures__by_the_doctors_answers_on_the_test_set(study: Services) -> None:
    learn, test = _cells_by_side(study)
    _answer(study, {n: truth(n) for n in learn[:120]}, "k")
    _refit(study)
    assert blindtest.figures(study.database, study.probes_folder, study.store(), study.label_set) is None
    _answer(study, {n: truth(n) for n in test}, "t")
    good = blindtest.figures(study.database, study.probes_folder, study.store(), study.label_set)
    _answer(study, dict.fromkeys(test[:50], "SCC"), "wrong")
    worse = blindtest.figures(study.database, study.probes_folder, study.store(), study.label_set)

    assert good.judgement.balanced_accuracy > 0.7
    assert (good.judgement.cells, good.judgement.slides) == (100, 5)
    assert good.judgement.low <= good.judgement.balanced_accuracy <= good.judgement.high
    assert good.judgement.coverage > 0.8
    assert worse.judgement.recalls["SCC"] == 0
    assert worse.judgement.balanced_accuracy < good.judgement.balanced_accuracy - 0.15


def test_figures__a_label_given_after_the_suggestion_and_an_even_dispute_do_not_count(study: Services) -> None:
    learn, test = _cells_by_side(study)
    _answer(study, {n: truth(n) for n in learn[:120]}, "k")
    _refit(study)
    _answer(study, {n: truth(n) for n in test[:30]}, "t")
    event = LabelEvent(key="ben", cell_id=f"CE{test[0]:05d}", category="SCC")
    record(study.database, "ben", [event], label_set=study.label_set)
    offer = leases.Offer(cell_id=f"CE{test[40]:05d}", reason="resembles", suggestion="NILM", probability=0.9)
    leases.claim(study.database, "ada", [offer], most=1, reads=1, lease_seconds=60)
    led = LabelEvent(key="led", cell_id=offer.cell_id, category="NILM")
    record(study.database, "ada", [led], label_set=study.label_set, shown=True)
    found = blindtest.figures(study.database, study.probes_folder, study.store(), study.label_set)

    assert (found.judgement.cells, found.disputed, found.seen) == (29, 1, 1)


def test_choose__once_whole_untouched_slides_and_never_all(study: Services) -> None:
    _answer(study, {n: truth(n) for n in range(100)}, "k")
    done = _run("testset", "--home", str(study.home), "--choose", "--percent", "50", "--json")
    assert len(done["chosen"]) == done["slides"] == 10
    with study.database.read() as session:
        chosen = blindtest.blind_slides(session)
    assert len(chosen) == 10
    assert not chosen & {f"SL{n}" for n in range(5)}
    with pytest.raises(BlindTestRefused, match="already"):
        blindtest.choose(study.database, percent=10)


def test_choose__too_few_untouched_slides_are_told(study: Services) -> None:
    _answer(study, {20 * n: "NILM" for n in range(19)}, "k")

    with pytest.raises(BlindTestRefused, match="1 of 20 have no doctor's label"):
        blindtest.choose(study.database, percent=20)


def test_testset__as_json(study: Services) -> None:
    assert _run("testset", "--home", str(study.home), "--json") == {"slides": 0, "chosen": [], "figures": None}
    learn, test = _cells_by_side(study)
    _answer(study, {n: truth(n) for n in [*learn[:120], *test]}, "k")
    _refit(study)
    found = _run("testset", "--home", str(study.home), "--json")

    assert found["figures"]["judgement"]["cells"] == len(test)
    assert (
        "blind test set, 100 cells of 5 slides"
        in CliRunner().invoke(cytojepa, ["testset", "--home", str(study.home)]).stdout.lower()
    )
