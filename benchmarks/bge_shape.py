"""Makes a model of bge-base-en-v1.5's shape with random weights: speed does not depend on them.

    python benchmarks/bge_shape.py OUT --tokenizer DIR

The weights depend on the seed alone, not on the libraries' versions, so each server's environment
can save the same model in the format that its sentence-transformers reads.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, BertConfig, BertModel

try:
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
except ModuleNotFoundError:  # before version 6
    from sentence_transformers.models import Normalize, Pooling, Transformer

SEED = 15
DEVIATION = 0.02  # as BERT is initialised
SHAPE = BertConfig(
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    intermediate_size=3072,
    vocab_size=30522,
    max_position_embeddings=512,
)


def main() -> None:
    """Save the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a folder to copy it from")
    options = parser.parse_args()
    bert = options.out.with_name(options.out.name + "-bert")
    random_bert().save_pretrained(bert)
    AutoTokenizer.from_pretrained(options.tokenizer).save_pretrained(bert)
    length = SHAPE.max_position_embeddings
    modules = [
        Transformer(str(bert), max_seq_length=length),
        Pooling(SHAPE.hidden_size, pooling_mode="cls"),
        Normalize(),
    ]
    SentenceTransformer(modules=modules).save(str(options.out))


def random_bert() -> BertModel:
    """Normal weights, no biases, as BERT before its training.

    Its pooler is not used, but one that is missing would be filled at random.
    """
    model = BertModel(SHAPE)
    chance = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif "LayerNorm" in name:
                parameter.fill_(1)
            else:
                parameter.normal_(0, DEVIATION, generator=chance)
    return model


if __name__ == "__main__":
    main()
