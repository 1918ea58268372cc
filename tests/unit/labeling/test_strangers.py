"""What is unlike the labelled cells: measured against other slides, because cells of one slide are alike."""

import numpy as np

from labeling.strangers import far_from


def _units(generator: np.random.Generator, centre: np.ndarray, rows: int, spread: float) -> np.ndarray:
    vectors = centre + spread * generator.normal(size=(rows, len(centre)))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_far_from__another_laboratory_is_far_and_a_new_slide_of_the_same_is_not() -> None:
    generator = np.random.default_rng(0)
    axes = np.eye(24)
    own = [_units(generator, axes[0] + 0.5 * axes[1 + slide], 12, 0.03) for slide in range(12)]
    there = _units(generator, axes[23], 40, 0.2)
    labelled, slides = np.concatenate(own[:8]), np.repeat(np.arange(8), 12)

    assert far_from(there, labelled, slides).all()
    assert far_from(np.concatenate(own[8:]), labelled, slides).mean() < 0.2
    # Against neighbours on their own slide, every new slide would be strange.
    assert far_from(np.concatenate(own[8:]), labelled, np.arange(96)).all()


def test_far_from__labels_of_one_slide_tell_nothing() -> None:
    units = _units(np.random.default_rng(1), np.eye(5)[0], 40, 0.3)

    assert not far_from(units, units[:20], np.zeros(20)).any()
