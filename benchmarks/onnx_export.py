"""Writes a sentence-transformers BERT with CLS pooling as an ONNX graph in fp32.

    python benchmarks/onnx_export.py MODEL OUT.onnx

Normalisation is inside the graph, as in this project's own artefacts.
"""

from __future__ import annotations

import sys
import warnings

import torch
from torch import Tensor, nn
from transformers import BertModel

_OPSET = 17


class Embedding(nn.Module):
    """Token numbers in, vectors of length 1 out."""

    def __init__(self, folder: str):
        super().__init__()
        self.bert = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The first token's last hidden state, normalised."""
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return nn.functional.normalize(states[:, 0], dim=1)


def main(folder: str, out: str) -> None:
    """Convert."""
    example = torch.ones(2, 16, dtype=torch.int64)
    free = {0: "batch", 1: "length"}
    # Converters warn of shapes that they take as constant; here none is but the model's own.
    warnings.simplefilter("ignore")
    torch.onnx.export(
        Embedding(folder),
        (example, example),
        out,
        input_names=["input_ids", "attention_mask"],
        output_names=["vector"],
        dynamic_axes={"input_ids": free, "attention_mask": free, "vector": {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,  # the newer exporter needs packages of its own
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
