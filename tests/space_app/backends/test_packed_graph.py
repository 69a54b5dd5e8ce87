from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

from space_app.backends.pack import Pack
from space_app.backends.packed_graph import PackedGraph
from space_app.core.types import Encoded, Shape

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 40,
    # Strong enough for attention and positions to decide something.
    "initializer_range": 0.5,
}
LENGTHS = (3, 12, 1, 7)


def encoder(kind: str) -> Any:
    """A small encoder with random weights, the same each time."""
    torch.manual_seed(0)
    made: Any
    if kind == "bert":
        made = BertModel(BertConfig(**SMALL), add_pooling_layer=False)
    else:
        made = XLMRobertaModel(XLMRobertaConfig(**SMALL, pad_token_id=1), add_pooling_layer=False)
    return made.eval()


def reference(made: Any, tokens: torch.Tensor, pooling: str) -> torch.Tensor:
    """What transformers makes of one text by itself."""
    hidden = made(input_ids=tokens[None]).last_hidden_state[0]
    pooled = hidden[0] if pooling == "cls" else hidden.mean(dim=0)
    return torch.nn.functional.normalize(pooled, dim=0)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("rows", [1, 2])
def test_packed_texts_are_as_one_by_one(rows: int, kind: str, pooling: str) -> None:
    """Each text's vector is transformers' own, whatever lies beside it, behind and above it."""
    made = encoder(kind)
    tokens = torch.from_numpy(np.random.default_rng(1).integers(2, 100, sum(LENGTHS)))
    ends = np.cumsum((0, *LENGTHS))
    texts = [tokens[start:end] for start, end in pairwise(ends)]
    pack = Pack(Shape(rows, 32), 8)
    encoded = [Encoded(text.numpy(), truncated=False) for text in texts]
    pack.fill([encoded] if rows == 1 else [encoded[:3], encoded[3:]])
    with torch.no_grad():
        wanted = torch.stack([reference(made, text, pooling) for text in texts])
        inputs = {name: torch.from_numpy(value) for name, value in pack.inputs().items()}
        found = PackedGraph(made, pooling)(**inputs)

    assert found.isfinite().all()
    torch.testing.assert_close(found[: len(texts)], wanted, atol=1e-5, rtol=0)
