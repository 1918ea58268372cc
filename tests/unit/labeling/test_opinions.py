"""What a doctor says of a slide: only added, the newest counts, nobody sees another's, each key once."""

import pandas as pd
import pytest

from app.intake import take_in
from datasets import catalog
from datasets.bethesda import BETHESDA
from datasets.crops import encode_png
from datasets.public import plan
from labeling import opinions
from labeling.export import export_labels
from labeling.opinions import OpinionEvent
from labeling.records import Event
from labeling.verification import check_chain


@pytest.fixture
def slide(services, picture, tmp_path) -> str:
    folder = tmp_path / "fields"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode_png(picture))
    take_in(services, plan(folder), mpp=0.25)
    (found,) = catalog.slides_with_pictures(services.database)
    return found.id


def _say(services, slide: str, who: str = "ada", **values):
    event = OpinionEvent(**{"key": "o1", "slide_id": slide, **values})
    return opinions.record(services.database, who, [event], label_set=BETHESDA)[0]


def test_opinions__are_only_added_and_stay_with_who_said_them(services, slide) -> None:
    assert _say(services, slide, adequacy="satisfactory", zone="present", category="NILM").accepted
    assert _say(services, slide, key="o2", category="LSIL", comment="koilocytes").accepted
    assert _say(services, slide, who="ben", key="o3", adequacy="unsatisfactory").accepted
    newest, oldest = opinions.own(services.database, "ada", slide)

    assert (newest.category, newest.comment, newest.adequacy) == ("LSIL", "koilocytes", None)
    assert (oldest.adequacy, oldest.zone, oldest.category) == ("satisfactory", "present", "NILM")
    assert [o.adequacy for o in opinions.own(services.database, "ben", slide)] == ["unsatisfactory"]


def test_same_opinion_sent_twice__is_one_event_of_the_chain(services, slide) -> None:
    first, second = _say(services, slide, category="HSIL"), _say(services, slide, category="HSIL")

    assert first.accepted
    assert second.accepted
    with services.database.read() as session:
        said = [event for event in session.query(Event).all() if '"kind":"opinions"' in event.body]
    assert len(said) == 1
    assert check_chain(services.database).problems == ()
    assert not _say(services, slide, category="NILM").accepted


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"adequacy": "fine"}, "satisfactory, unsatisfactory"),
        ({"zone": "maybe"}, "present, absent"),
        ({"category": "not-a-cell"}, "NILM"),
        ({"slide_id": "SL-other"}, "not in the catalogue"),
        ({"comment": "x" * 501}, "at most 500"),
    ],
)
def test_opinion_that_makes_no_sense__is_refused_in_a_sentence(services, slide, values, words: str) -> None:
    receipt = _say(services, slide, **values)

    assert not receipt.accepted
    assert words in receipt.reason


def test_opinions__leave_in_csv_and_parquet_and_say_which_counts(services, slide, tmp_path) -> None:
    _say(services, slide, adequacy="satisfactory", category="NILM")
    _say(services, slide, key="o2", adequacy="unsatisfactory", comment="thick")
    for name in ("csv", "parquet"):
        export_labels(services.database, name, tmp_path / f"out.{name}", label_set=BETHESDA)
    table = pd.read_parquet(tmp_path / "out.parquet")
    text = pd.read_csv(tmp_path / "out.csv")

    for rows in (table, text):
        rows = rows[rows["kind"] == "opinion"]
        assert list(rows["adequacy"]) == ["satisfactory", "unsatisfactory"]
        assert list(rows["is_current"]) == [False, True]
        assert list(rows["slide"]) == [slide, slide]
        assert rows["cell"].isna().all()
