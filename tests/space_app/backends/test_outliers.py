from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertModel

from space_app.backends.outliers import split_outliers
from space_app.core.types import Encoded

TEXTS = [
    Encoded(np.random.default_rng(seed).integers(0, 50, 9), truncated=False) for seed in range(4)
]


def encoder() -> Any:
    """A small encoder of which one channel before a layer's last product is far out."""
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        vocab_size=50,
        max_position_embeddings=16,
    )
    made: Any = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        made.encoder.layer[0].intermediate.dense.bias[7] = 40
    return made


def computed(made: Any) -> list[torch.Tensor]:
    """What it makes of the texts."""
    with torch.no_grad():
        return [
            made(input_ids=torch.from_numpy(text.tokens)[None]).last_hidden_state for text in TEXTS
        ]


def test_it_computes_what_it_did() -> None:
    """Splitting changes no vector in fp32."""
    made = encoder()
    before = computed(made)
    split_outliers(made, TEXTS)

    for found, wanted in zip(computed(made), before, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_the_largest_channel_becomes_ordinary() -> None:
    """What goes into the product has no outlier any more, for few more channels."""
    made = encoder()
    split_outliers(made, TEXTS)
    seen: list[torch.Tensor] = []
    product = made.encoder.layer[0].output.dense.product
    product.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].abs().max()))
    computed(made)

    assert max(seen) < 40 / 25
    assert product.in_features == 256 + 32
