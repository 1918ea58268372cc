import pytest
import torch
from torch import nn

from jepa.errors import ConfigError
from jepa.resnet import MaskedResNet, visible_norm

KEPT = torch.tensor([[0, 1, 4, 5], [2, 3, 6, 11]])


@pytest.fixture(scope="module")
def resnet():
    """Fresh, but with its residual branches switched on: timm starts them at zero, where nothing could leak."""
    torch.manual_seed(0)
    net = MaskedResNet()
    for stage in (net.layer1, net.layer2, net.layer3):
        for block in stage:
            nn.init.constant_(block.bn3.weight, 0.5)
    return net


def _scribble(pictures, kept):
    """Change every pixel of the hidden places."""
    changed = pictures.clone()
    for row in range(len(pictures)):
        for place in set(range(16)) - set(kept[row].tolist()):
            top, left = 16 * (place // 4), 16 * (place % 4)
            changed[row, :, top : top + 16, left : left + 16] = torch.randn(3, 16, 16) * 9
    return changed


@pytest.mark.parametrize("training", [True, False])
def test_hidden_places__reach_no_visible_one(resnet, training):
    pictures = torch.randn(2, 3, 64, 64)
    resnet.train(training)
    with torch.no_grad():
        before, after = resnet(pictures, KEPT), resnet(_scribble(pictures, KEPT), KEPT)
        whole = resnet(pictures)

    assert before.shape == (2, 4, 1024)
    assert torch.equal(before, after)
    assert whole.shape == (2, 16, 1024)
    assert not torch.allclose(whole[0, :2], before[0, :2])


def test_all_visible__equals_no_mask(resnet):
    pictures = torch.randn(2, 3, 64, 64)
    resnet.eval()
    with torch.no_grad():
        everywhere = resnet(pictures, torch.arange(16).expand(2, -1))
        torch.testing.assert_close(everywhere, resnet(pictures), rtol=1e-4, atol=1e-4)


def test_norm__statistics_of_visible_places_only():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    visible = torch.zeros(2, 1, 4, 4)
    visible[:, :, :2] = 1
    values = (5 + 2 * torch.randn(2, 3, 4, 4)) * visible
    out = visible_norm(norm, values, visible)
    shown = values[:, :, :2].transpose(0, 1).flatten(1)
    plain = nn.BatchNorm2d(3)
    wanted = plain(values[:, :, :2])

    torch.testing.assert_close(out[:, :, :2], wanted)
    assert out[:, :, 2:].abs().max() == 0
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert shown.mean() > 4


def test_ragged_size(resnet):
    with pytest.raises(ConfigError, match="60 x 64 px is no whole number of patches of 16 px"):
        resnet(torch.randn(1, 3, 64, 60))
