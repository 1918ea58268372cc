import io

import numpy as np
import torch
from PIL import Image

from jepa.token_picture import TILE_PX, draw_token_picture, principal_colours


def test_colours__follow_the_tokens():
    """Two kinds of patches in four dimensions get two colours, the same ones in both tiles."""
    kinds = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]])
    colours = principal_colours(torch.eye(4)[kinds], (2, 2)).reshape(2, 4, 3)

    assert (colours[0, 0] == colours[0, 1]).all()
    assert (colours[0, 0] == colours[1, 2]).all()
    assert (colours[0, 0] != colours[0, 2]).any()


def test_colours__collapsed_tokens_are_one_colour():
    colours = principal_colours(torch.ones(2, 9, 16), (3, 3))

    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 1


def test_picture__tiles_above_colours():
    tiles = np.full((3, 32, 32, 3), (200, 10, 10), np.uint8)
    torch.manual_seed(0)
    sheet = np.asarray(Image.open(io.BytesIO(draw_token_picture(tiles, torch.randn(3, 16, 8), (4, 4)))))

    assert sheet.shape == (2 * TILE_PX + 8, 3 * TILE_PX + 2 * 8, 3)
    assert (sheet[:TILE_PX, :TILE_PX] == (200, 10, 10)).all()
    assert len(np.unique(sheet[TILE_PX + 8 :, :TILE_PX].reshape(-1, 3), axis=0)) == 16
