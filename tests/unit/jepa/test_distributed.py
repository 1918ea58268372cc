import pytest
import torch

from jepa.distributed import World, open_world
from jepa.errors import ConfigError


@pytest.fixture
def launch(monkeypatch):
    def set_variables(**variables):
        for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_NTASKS", "SLURM_PROCID"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def test_open_world__alone(launch):
    launch()
    with open_world() as world:
        assert (world.rank, world.size, world.is_first) == (0, 1, True)
        assert world.rows(7) == slice(0, 7)
        assert world.share("x") == "x"
        assert world.share_from_first(lambda: 3) == 3
        assert not world.any(False)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE = 2, but RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT is missing"),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "1"}, "Slurm started 4 tasks, but without the addresses"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE = 'two' is no number"),
    ],
)
def test_open_world__launch_that_does_not_fit(launch, variables, sentence):
    """No silent fallback to one process."""
    launch(**variables)
    with pytest.raises(ConfigError, match=sentence), open_world():
        pass


def test_rows__cover_the_batch_once():
    worlds = [World(torch.device("cpu"), rank, 3) for rank in range(3)]

    assert [i for world in worlds for i in range(12)[world.rows(12)]] == list(range(12))
    with pytest.raises(ConfigError, match="batch_size = 10 is no multiple of 3 processes"):
        worlds[0].rows(10)
