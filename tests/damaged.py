"""A small model, and artefacts of it that are wrong though their fingerprint says otherwise."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertConfig, BertModel

from space_app import fingerprint
from space_app.core import manifest
from space_app.export import export
from space_app.model_file import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

SPOILED = "zebra"
"""The word of `with_spoiled_word`."""

POSITIONS = 40
"""What the small model reads."""


def small_artefact(minilm: Path, folder: Path) -> Path:
    """A model of two layers with random weights, exported in fp32."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        vocab_size=len(tokenizer),
        max_position_embeddings=POSITIONS,
    )
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    encoder = Transformer(str(folder / "bert"), max_seq_length=POSITIONS)
    model = SentenceTransformer(modules=[encoder, Pooling(32, pooling_mode="mean")])
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    export(ModelSpec(id=str(folder / "model"), precision="fp32"), folder / "artefact")
    return folder / "artefact"


def with_max_length(artefact: Path, folder: Path, length: int) -> Path:
    """A copy whose manifest says another length, as if it had been exported so."""
    shutil.copytree(artefact, folder)
    return _resealed(folder, max_length=length)


def with_spoiled_word(artefact: Path, folder: Path) -> Path:
    """A copy in which the weights of one word are not numbers."""
    shutil.copytree(artefact, folder)
    token = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(SPOILED)
    graph = ET.parse(folder / "model.xml").getroot()  # noqa: S314 -- written by the export
    table = next(
        layer.attrib
        for layer in graph.iterfind("layers/layer/data")
        if layer.attrib.get("shape", "").startswith("30522, ")
    )
    width = int(table["shape"].split(", ")[1]) * 4
    with (folder / "model.bin").open("r+b") as weights:
        weights.seek(int(table["offset"]) + token * width)
        weights.write(np.full(width // 4, np.nan, dtype=np.float32).tobytes())
    return _resealed(folder)


def with_token_beyond(artefact: Path, folder: Path, word: str) -> Path:
    """A copy whose tokenizer makes a token of a word that the weights don't know."""
    shutil.copytree(artefact, folder)
    path = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_tokens([word])
    tokenizer.save(str(path))
    return _resealed(folder)


def _resealed(folder: Path, **changes: object) -> Path:
    (folder / "model.blob").unlink(missing_ok=True)
    changed = manifest.read(folder).model_copy(update=changes)
    found = fingerprint.fingerprint(folder, changed.decisions)
    manifest.write(changed.model_copy(update={"fingerprint": found}), folder)
    return folder
