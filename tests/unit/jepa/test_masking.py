"""Masks: what holds for every grid, and what the published sampler did instead."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepa.errors import MaskError
from jepa.masking import MaskConfig, mask_generator, mask_lengths, sample_masks
from jepa.published_masks import sample_published_masks

GRIDS = {"14": (14, 14), "16": (16, 16), "8": (8, 8)}
PUBLISHED = {"14": MaskConfig(min_context=10), "16": MaskConfig(min_context=10), "8": MaskConfig(min_context=4)}


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(4, 20), columns=st.integers(4, 20), seed=st.integers(0, 2**32), batch=st.integers(1, 9),
       num_targets=st.integers(1, 5))  # fmt: skip
def test_masks__hold_for_every_grid(rows, columns, seed, batch, num_targets):
    config = MaskConfig(num_targets=num_targets, min_context=1)
    masks = sample_masks((rows, columns), config, batch, mask_generator(seed, 0))
    (_, context_length), (_, _, target_length) = masks.context.shape, masks.targets.shape

    assert masks.context.shape[0] == masks.targets.shape[1] == batch
    assert len(masks.targets) == num_targets
    assert (context_length, target_length) in mask_lengths((rows, columns), config)
    assert masks.context.dtype == masks.targets.dtype == np.int64
    for indices in (masks.context, masks.targets):
        assert (np.diff(indices, axis=-1) > 0).all(), "ascending, none twice"
        assert indices.min() >= 0
        assert indices.max() < rows * columns
    for image in range(batch):
        assert not set(masks.context[image]) & set(masks.targets[:, image].ravel())


def areas(grid, flat):
    """Height and width of the smallest box around each row of indices."""
    tall, wide = flat // grid[1], flat % grid[1]
    return np.ptp(tall, axis=-1) + 1, np.ptp(wide, axis=-1) + 1


@pytest.mark.parametrize("grid", [(14, 14), (8, 8), (7, 28)])
def test_targets__are_nearly_whole_blocks_of_the_asked_size(grid):
    config = MaskConfig()
    area = grid[0] * grid[1]
    for step in range(20):
        targets = sample_masks(grid, config, 16, mask_generator(1, step)).targets
        heights, widths = areas(grid, targets)
        length = targets.shape[-1]

        assert 0.15 * area - 0.5 <= length <= 0.2 * area + 0.5
        assert (heights * widths - length < np.maximum(heights, widths) + 1).all(), "a box around it has little more"
        assert (np.abs(np.log(heights / widths)) < np.log(1.5) + 0.45).all()


@pytest.mark.parametrize("grid", [(14, 14), (8, 8), (6, 9)])
def test_every_patch_is_reachable(grid):
    """The published sampler never saw the last row and column (D: 15 of 64 patches on 8 x 8)."""
    context, target = np.zeros(grid[0] * grid[1]), np.zeros(grid[0] * grid[1])
    for step in range(60):
        masks = sample_masks(grid, MaskConfig(min_context=1), 32, mask_generator(0, step))
        np.add.at(context, masks.context.ravel(), 1)
        np.add.at(target, masks.targets.ravel(), 1)
    rows = context.reshape(grid).sum(1)

    assert (context > 0).all()
    assert (target > 0).all()
    # No prefix: top and bottom are seen equally often (75 % against 2 % as published).
    assert rows[0] == pytest.approx(rows[-1], rel=0.1)


def test_scale_and_aspect__are_independent():
    """More than the 5 target shapes of the published sampler on 14 x 14, and other contexts than one square."""
    shapes, corners = set(), set()
    for step in range(40):
        masks = sample_masks((14, 14), MaskConfig(num_targets=1), 32, mask_generator(0, step))
        heights, widths = areas((14, 14), masks.targets)
        shapes |= set(zip(heights.ravel().tolist(), widths.ravel().tolist(), strict=True))
        corners |= {tuple(row) for row in masks.context[:, [0, -1]].tolist()}

    assert len(shapes) >= 9
    assert len(corners) > 20


def test_lengths__few_and_independent_of_the_batch():
    seen = {
        sample_masks((14, 14), MaskConfig(), batch, mask_generator(0, step)).context.shape[1]
        for batch in (1, 64, 300)
        for step in range(12)
    }

    assert seen <= {length for length, _ in mask_lengths((14, 14), MaskConfig())}
    assert len(seen) <= 3
    # Published: 82 tokens at batch 1, 54 at 64, 38 at 2048.
    assert min(seen) >= 60


def test_rows__are_those_of_the_whole_batch():
    whole = sample_masks((8, 8), MaskConfig(), 12, mask_generator(3, 5))
    parts = [sample_masks((8, 8), MaskConfig(), 12, mask_generator(3, 5), slice(i, i + 4)) for i in (0, 4, 8)]

    assert np.array_equal(np.concatenate([part.context for part in parts]), whole.context)
    assert np.array_equal(np.concatenate([part.targets for part in parts], axis=1), whole.targets)


def test_generator__other_step_other_masks():
    first, again, other = (
        sample_masks((8, 8), MaskConfig(), 4, mask_generator(0, step)).targets.tolist() for step in (0, 0, 1)
    )

    assert first == again != other


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (1, 4)])
def test_small_grid__clear_error_and_no_endless_loop(grid):
    with pytest.raises(MaskError, match=rf"a grid of {grid[0]} x {grid[1]} patches leaves \d+ patches"):
        sample_masks(grid, MaskConfig(), 4, mask_generator(0, 0))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("side", [4, 6, 7, 8])
def test_grids_on_which_the_published_sampler_hangs(side):
    config = MaskConfig(min_context=4)
    for step in range(50):
        masks = sample_masks((side, side), config, 8, mask_generator(0, step))
        assert masks.context.shape[1] >= 4


@pytest.fixture(params=GRIDS)
def published(request, golden):
    with np.load(golden / f"masks_g{request.param}.npz") as arrays:
        return GRIDS[request.param], PUBLISHED[request.param], dict(arrays)


def test_published_sampler__single_images_as_measured(published):
    grid, config, arrays = published
    generator = np.random.default_rng(0)
    draws = [sample_published_masks(grid, config, 1, generator) for _ in range(3000)]
    sizes = np.array([np.concatenate(areas(grid, m.targets[0])) for m in draws])
    measured, counts = np.unique(arrays["b1_block_sizes"][:, :2], axis=0, return_counts=True)
    ours = [(sizes == shape).all(axis=1).mean() for shape in measured]

    assert ours == pytest.approx(counts / counts.sum(), abs=0.03), "the same few shapes, as often"
    assert sum(ours) == pytest.approx(1)
    assert np.mean([m.context.shape[1] for m in draws]) == pytest.approx(arrays["b1_n_ctx"].mean(), rel=0.02)
    union = np.mean([len(np.unique(m.targets)) for m in draws])
    assert union == pytest.approx(arrays["b1_union_targets"].mean(), rel=0.02)
    seen = np.zeros(grid[0] * grid[1])
    for masks in draws:
        seen[masks.context[0]] += 1 / len(draws)
    assert seen == pytest.approx(arrays["b1_freq_ctx"].ravel(), abs=0.05)
    assert not seen.reshape(grid)[-1].any()
    assert not seen.reshape(grid)[:, -1].any()


def test_published_sampler__batches_as_measured(published):
    grid, config, arrays = published
    generator = np.random.default_rng(0)
    draws = [sample_published_masks(grid, config, 64, generator) for _ in range(60)]

    assert np.mean([m.context.shape[1] for m in draws]) == pytest.approx(arrays["b64_n_ctx"].mean(), rel=0.06)
    top, bottom = (
        np.mean([(m.context // grid[1] == row).any(axis=1).mean() for m in draws]) for row in (0, grid[0] - 2)
    )
    measured = (arrays["b64_raw_ctx"] // grid[1]) * (arrays["b64_raw_ctx"] >= 0)
    assert bottom < 0.5 < top
    assert top == pytest.approx((measured == 0).any(axis=1).mean(), abs=0.25)


def test_own_masks__differ_from_the_published_where_those_are_faulty(published):
    grid, config, arrays = published
    draws = [sample_masks(grid, config, 64, mask_generator(0, step)) for step in range(60)]
    seen, aimed = np.zeros(grid), np.zeros(grid)
    for masks in draws:
        np.add.at(seen.reshape(-1), masks.context.ravel(), 1 / 3840)
        np.add.at(aimed.reshape(-1), masks.targets.ravel(), 1 / 3840)

    assert arrays["b64_freq_ctx"][-1].max() == arrays["b64_freq_tgt"][:, -1].max() == 0
    assert min(seen[-1].min(), seen[:, -1].min(), aimed[-1].min(), aimed[:, -1].min()) > 0
    assert np.mean([m.context.shape[1] for m in draws]) > 1.2 * arrays["b64_n_ctx"].mean()
    # Where they agree: a target block has 15 to 20 % of the patches.
    share = np.mean([m.targets.shape[2] for m in draws]) / seen.size
    assert share == pytest.approx(arrays["b64_n_tgt"].mean() / seen.size, abs=0.02)


def test_published_sampler__error_instead_of_endless_loop():
    with pytest.raises(MaskError, match=r"no more than min_context = 10 on a grid of 6 x 6.*Set mask_rule = own"):
        sample_published_masks((6, 6), MaskConfig(min_context=10), 2, np.random.default_rng(0))
