import json

import numpy as np
import pytest

from jepa.schedules import ema_momentum, learning_rate, weight_decay


@pytest.mark.parametrize("name", ["steps1000", "steps1000_ipe125", "in1k_vith14"])
def test_schedules__golden(golden, name):
    with np.load(golden / "schedules.npz") as arrays:
        c = json.loads(str(arrays[f"{name}_config"]))
        expected = {key: arrays[f"{name}_{key}"] for key in ("lr", "wd", "momentum")}
        indices = arrays[f"{name}_index"].tolist()
    steps = int(c["scale"] * c["epochs"] * c["ipe"])
    rise = {"warmup_steps": int(c["warm"] * c["ipe"]), "start": c["start"], "peak": c["ref"]}
    found = {
        "lr": [learning_rate(i, steps=steps, final=c["fin"], **rise) for i in indices],
        "wd": [weight_decay(i, steps=steps, first=c["wd"], last=c["fwd"]) for i in indices],
        "momentum": [ema_momentum(i, steps=steps, first=c["ema"][0], last=c["ema"][1]) for i in indices],
    }
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=0, atol=1e-12)


def test_learning_rate__without_warmup():
    options = {"steps": 10, "warmup_steps": 0, "start": 0.0, "peak": 1.0, "final": 0.1}

    assert learning_rate(9, **options) == pytest.approx(0.1)
    assert learning_rate(4, **options) == pytest.approx(0.55)
    assert learning_rate(50, **options) == pytest.approx(0.1)
