"""Makes an encoder easier to compute in int8, without changing what it computes in fp32.

Before a layer's last product a few channels are many times larger than all others (those by which
the first token takes attention upon itself), and one scale for all would leave little of the rest.
Each such channel is split into equal parts: as many copies of it as make it ordinary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from space_app.core.types import Encoded

_SHARE = 48
"""One channel is added for so many that there are."""

_MULTIPLE = 32
"""Channels are added by so many at once, as engines compute them."""


def split_outliers(encoder: Any, texts: Sequence[Encoded]) -> None:
    """Split the outliers that these texts show, in place."""
    for layer, largest in zip(encoder.encoder.layer, _largest(encoder, texts), strict=True):
        parts = _parts(largest)
        channels = torch.cat(
            [torch.arange(len(parts)), torch.arange(len(parts)).repeat_interleave(parts - 1)]
        )
        before, after = layer.intermediate.dense, layer.output.dense
        layer.intermediate.dense = _linear(before.weight[channels], before.bias[channels])
        layer.output.dense = _Shared(
            _linear(after.weight[:, channels], after.bias), 1 / parts[channels].float()
        )


class _Shared(nn.Module):
    """A product of which each channel brings its share."""

    def __init__(self, product: nn.Linear, shares: Tensor):
        super().__init__()
        self.product = product
        self.shares = nn.Buffer(shares)

    def forward(self, channels: Tensor) -> Tensor:
        found: Tensor = self.product(channels * self.shares)
        return found


def _largest(encoder: Any, texts: Sequence[Encoded]) -> list[Tensor]:
    """For each layer, the largest value of each channel before its last product."""
    found: dict[nn.Module, Tensor] = {}

    def see(product: nn.Module, inputs: tuple[Tensor]) -> None:
        largest = inputs[0].abs().amax(dim=(0, 1))
        found[product] = torch.maximum(largest, found.get(product, largest))

    products = [layer.output.dense for layer in encoder.encoder.layer]
    hooks = [product.register_forward_pre_hook(see) for product in products]
    with torch.inference_mode():
        for text in texts:
            encoder(input_ids=torch.from_numpy(text.tokens)[None])
    for hook in hooks:
        hook.remove()
    return [found[product] for product in products]


def _parts(largest: Tensor) -> Tensor:
    """How many parts each channel is split into, 1 for most."""
    parts = torch.ones_like(largest, dtype=torch.int64)
    for _ in range(-(-len(parts) // (_SHARE * _MULTIPLE)) * _MULTIPLE):
        parts[(largest / parts).argmax()] += 1
    return parts


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0])
    made.weight, made.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return made
