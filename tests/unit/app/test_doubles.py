"""Pairs of cells once each, contradictions first; slides that were taken in twice."""

from app.doubles import Double, answers_of, doubles, slides_twice
from datasets import catalog
from datasets.bethesda import BETHESDA
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from labeling import adjudication
from labeling.adjudication import VerdictEvent
from labeling.labels import LabelEvent, record


def _pair(first: str, second: str, likeness: float) -> dict[str, object]:
    return {"first": first, "second": second, "likeness": likeness, "found_by": "picture"}


def test_doubles__a_pair_found_twice_is_one_and_contradictions_come_first() -> None:
    pairs = [_pair("a", "b", 0.99), _pair("b", "a", 0.98), _pair("c", "d", 0.93), _pair("e", "f", 0.95)]
    answers = {"a": ("NILM",), "b": ("NILM", "LSIL"), "c": ("HSIL",), "d": ("NILM",), "e": ("NILM",)}
    found = doubles(pairs, answers)

    assert [(d.first, d.second, d.likeness, d.contradicts) for d in found] == [
        ("c", "d", 0.93, True), ("a", "b", 0.99, False), ("e", "f", 0.95, False),
    ]  # fmt: skip


def test_slides_twice__are_those_that_share_three_cells() -> None:
    pairs = [Double(first=f"a{n}", second=f"b{n}", likeness=1.0) for n in range(3)]
    pairs += [Double(first="a0", second="c0", likeness=1.0), Double(first="a1", second="a2", likeness=1.0)]
    slide_of = {**{f"a{n}": "A" for n in range(3)}, **{f"b{n}": "B" for n in range(3)}, "c0": "C"}

    assert slides_twice(pairs, slide_of) == [("A", "B", 3)]


def test_answers_of__a_verdict_stands_alone(services) -> None:
    now = utc_now()
    slide = Slide(id="s1", kind="cells", mpp=0.25, mpp_source="given", added_at=now)
    cells = [Cell(id=f"c{n}", slide_id="s1", crop_mpp=0.25, origin="imported", added_at=now) for n in range(3)]
    catalog.add(services.database, [slide], cells)
    for name, category in (("ada", "LSIL"), ("ben", "HSIL")):
        events = [LabelEvent(key=f"{name}{c}", cell_id=c, category=category) for c in ("c0", "c1")]
        record(services.database, name, events, label_set=BETHESDA, reads=2)
    event = VerdictEvent(key="v", cell_id="c1", category="ASC-H")
    adjudication.decide(services.database, "vera", [event], label_set=BETHESDA)

    assert answers_of(services.database) == {"c0": ("HSIL", "LSIL"), "c1": ("ASC-H",)}
