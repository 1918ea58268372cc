"""The mixture of the queue is a setting: kept in the file, refused where it makes no sense."""

import pytest

from app.settings import Settings
from datasets.bethesda import HERLEV, LabelSet
from datasets.errors import SettingsError
from labeling.mixture import Shares


def test_shares__default_survive_the_file_and_add_up_to_a_hundred(tmp_path) -> None:
    Settings().save(tmp_path)

    assert Settings.load(tmp_path).shares == Shares()
    assert sum(Shares().of(arm) for arm in ("uncertain", "novel", "random", "shared", "gold", "repeat")) == 1


def test_shares__chosen_in_the_file(tmp_path) -> None:
    (tmp_path / "cytojepa.toml").write_text("[study]\nshare_random = 30\nshare_repeat = 0\n")
    shares = Settings.load(tmp_path).shares

    assert (shares.random, shares.repeat, shares.uncertain) == (30, 0, 60)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share_gold": 101}, "share_gold = 101: use a value from 0 to 100"),
        ({"share_random": -1}, "share_random = -1"),
        ({"abnormal_percent": 101}, "abnormal_percent = 101: use a value from 0 to 100"),
        (
            {"abnormal_percent": 20, "label_set": LabelSet(id="own", name="own", categories=HERLEV.categories[3:7])},
            "own does not tell findings from the rest",
        ),
        (
            dict.fromkeys(("share_uncertain", "share_novel", "share_random", "share_shared"), 0),
            "nothing is left to ask",
        ),
    ],
)
def test_shares__nonsense_is_told(values: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings(**values)
