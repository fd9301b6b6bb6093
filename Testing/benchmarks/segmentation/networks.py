"""U-Net, V-Net and UNETR, from MONAI, small enough for one core."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.networks.nets import UNETR, UNet
from monai.networks.nets.vnet import DownTransition, InputTransition, UpTransition
from torch import Tensor, nn

CANVAS = (48, 64, 48)
"""Voxels (K, J, I) of what the networks see; every image fits in, and UNETR's patches of 16 divide it."""
_ELU = ("elu", {"inplace": True})


class SmallVNet(nn.Module):
    """MONAI's V-Net blocks with a quarter of the channels and one level less.

    MONAI's own class has its 45 million parameters fixed: one step takes ten seconds of a core. Left out is also its
    last block, whose single channel is squeezed through an activation and learns too slowly for minutes, and the
    dropout of the upper levels, which have few channels to lose.
    """

    def __init__(self, *, channels: int = 4) -> None:
        super().__init__()
        c = channels
        self.enter = InputTransition(3, 1, c, _ELU)
        self.down_1 = DownTransition(3, c, 1, _ELU)
        self.down_2 = DownTransition(3, 2 * c, 2, _ELU)
        self.down_3 = DownTransition(3, 4 * c, 2, _ELU, dropout_prob=0.2)
        self.up_3 = UpTransition(3, 8 * c, 8 * c, 2, _ELU, dropout_prob=(0.2, 0.2))
        self.up_2 = UpTransition(3, 8 * c, 4 * c, 1, _ELU, dropout_prob=(None, 0.0))
        self.up_1 = UpTransition(3, 4 * c, 2 * c, 1, _ELU, dropout_prob=(None, 0.0))
        self.leave = nn.Conv3d(2 * c, 1, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of an image, both (N, 1, K, J, I)."""
        full = self.enter(image)
        half = self.down_1(full)
        quarter = self.down_2(half)
        eighth = self.down_3(quarter)
        logits: Tensor = self.leave(self.up_1(self.up_2(self.up_3(eighth, quarter), half), full))
        return logits


def _unet() -> nn.Module:
    return UNet(3, 1, 1, channels=(12, 24, 48, 96), strides=(2, 2, 2), num_res_units=2, dropout=0.05)


def _unetr() -> nn.Module:
    sizes = {"feature_size": 6, "hidden_size": 192, "mlp_dim": 768, "num_heads": 6}
    return UNETR(1, 1, img_size=CANVAS, **sizes, norm_name="instance", dropout_rate=0.1)


NETWORKS: dict[str, Callable[[], nn.Module]] = {"unet": _unet, "vnet": SmallVNet, "unetr": _unetr}
"""From an image to logits, both (N, 1, *CANVAS)."""


def make_network(backbone: str, *, seed: int) -> nn.Module:
    """An untrained network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[backbone]()
