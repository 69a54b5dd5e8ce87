"""The graph that is exported: a BERT-like encoder over packed texts, with pooling and length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import normalize

if TYPE_CHECKING:
    from torch import Tensor

_FIRST_POSITION = {"bert": 0, "roberta": 1, "xlm-roberta": 1, "camembert": 1}
"""By model type: 0, or 1 where positions are counted from behind the padding's number."""

ARCHITECTURES = tuple(_FIRST_POSITION)
POOLINGS = ("cls", "mean")


def padding_token(model: Any) -> int | None:
    """The token that takes no position of its own; None where every token takes one."""
    config = model[0].model.config
    return config.pad_token_id if _FIRST_POSITION[config.model_type] else None


class PackedGraph(nn.Module):
    """`ids`, `segment`, `position` (rows of one number a token), `starts` (one a text) -> vectors.

    There is one for each of `starts`; those beyond the last text mean nothing. Positions are
    counted from 0; that of padding within a text is -1.
    """

    def __init__(self, encoder: Any, pooling: str):
        super().__init__()
        config = encoder.config
        offset = _FIRST_POSITION[config.model_type]
        self.first_position = offset and config.pad_token_id + offset
        self.embeddings = encoder.embeddings
        self.layers = (_Cls if pooling == "cls" else _Mean)(encoder.encoder.layer)

    def forward(self, ids: Tensor, segment: Tensor, position: Tensor, starts: Tensor) -> Tensor:
        """Compute one step."""
        hidden: Tensor = self.embeddings(input_ids=ids, position_ids=position + self.first_position)
        own = segment[:, None, :, None] == segment[:, None, None, :]
        return normalize(self.layers(hidden, own, segment.reshape(-1), starts), dim=1)


class ByteRows(nn.Module):
    """An embedding table in int8, each row with a scale of its own.

    The engine keeps it so; a quantised float table it would unfold in memory, to four times that.
    """

    def __init__(self, table: Tensor):
        super().__init__()
        scales = table.detach().abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
        self.rows = nn.Buffer((table.detach() / scales).round().to(torch.int8))
        self.scales = nn.Buffer(scales)

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of these numbers."""
        return self.rows[ids].to(self.scales.dtype) * self.scales[ids]


class _Mean(nn.Module):
    """The mean of a text's tokens."""

    def __init__(self, layers: nn.ModuleList):
        super().__init__()
        self.layers = layers

    def forward(self, hidden: Tensor, own: Tensor, segment: Tensor, starts: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=own)
        texts = torch.arange(starts.shape[0], device=starts.device)
        belongs = (texts[:, None] == segment[None, :]).to(hidden.dtype)
        # A row without a text has no tokens: not 0 divided by 0.
        counts = belongs.sum(dim=1, keepdim=True).clamp(min=1)
        return (belongs @ hidden.flatten(0, 1)) / counts


class _Cls(nn.Module):
    """A text's first token; only these are computed in the last layer's second half."""

    def __init__(self, layers: nn.ModuleList):
        super().__init__()
        self.layers = layers[:-1]
        self.last: Any = layers[-1]

    def forward(self, hidden: Tensor, own: Tensor, segment: Tensor, starts: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=own)
        # Texts of all rows in one: of their first tokens there are few.
        hidden = hidden.reshape(1, -1, hidden.shape[-1])
        first = hidden[:, starts]
        attention = self.last.attention.self
        heads = attention.num_attention_heads
        seen = nn.functional.scaled_dot_product_attention(
            _by_heads(attention.query(first), heads),
            _by_heads(attention.key(hidden), heads),
            _by_heads(attention.value(hidden), heads),
            attn_mask=(segment[starts][:, None] == segment[None, :])[None, None],
            scale=attention.scaling,
        )
        mixed = self.last.attention.output(seen.transpose(1, 2).flatten(2), first)
        rows: Tensor = self.last.output(self.last.intermediate(mixed), mixed)[0]
        return rows


def _by_heads(states: Tensor, heads: int) -> Tensor:
    return states.reshape(*states.shape[:-1], heads, -1).transpose(1, 2)
