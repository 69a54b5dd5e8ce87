"""The export side of the openvino backend: converts, quantises, and ships what it verified."""

from __future__ import annotations

import os
import warnings
import xml.etree.ElementTree as ET
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import torch
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer

from space_app.backends import compiled, model_settings, openvino, reading, reference
from space_app.backends.openvino import OpenVinoEmbedder
from space_app.backends.outliers import split_outliers
from space_app.backends.pack import Pack
from space_app.backends.packed_graph import (
    ARCHITECTURES,
    POOLINGS,
    ByteRows,
    PackedGraph,
    padding_token,
)
from space_app.backends.reading import Reader
from space_app.core import canaries
from space_app.core.agreement import agreement
from space_app.core.errors import ExportError
from space_app.core.exported import Exported
from space_app.core.manifest import Quality, Refused
from space_app.core.types import Encoded, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentence_transformers import SentenceTransformer

    from space_app.backends import Say
    from space_app.core.exported import Instructions
    from space_app.core.types import Matrix
    from space_app.model_file import ModelSpec

MIN_COSINE_MEAN = 0.995
MIN_COSINE = 0.97
"""Below these, over the verification texts, a precision is not shipped."""

_LADDER = ("int8", "bf16", "fp32")
_ARITHMETIC = {"int8": "mixed", "bf16": "bf16", "fp32": "fp32"}
"""Beside int8 products bf16 makes attention twice as fast on CPUs with AMX, is equal to fp32 on
others that have it, and ten times slower on those that have AVX-512 without it."""

_CHAINS = ([Transformer, Pooling], [Transformer, Pooling, Normalize])
_TEXTS = Path(__file__).parents[1] / "texts"
_THREADS = 1


def export(source: Path, spec: ModelSpec, folder: Path, say: Say) -> Exported:
    """Save the model of `source` in `folder`, in the precision asked for or the next safer one.

    Raises:
        ExportError: it is no model of this kind, cannot be converted, or not be saved.
        ArtefactError: it does not load.
    """
    _send_nothing()
    say(f"Loading {spec.id}")
    model = reference.load_model(source)
    model_settings.require_known(model, source, spec)
    instructions = model_settings.instructions(model, spec, say)
    pooling = reference.pooling(model, spec, instructions)
    _require_convertible(model, pooling, spec)
    max_length = reference.limit(model, spec, say)
    _save_tokenizer(model, folder, spec)
    checked = reference.canaries(model, instructions)
    texts = _with(instructions, _read("verification")) + [each.text for each in checked]
    calibration = Reader.load(folder, max_length).read(_with(instructions, _read("calibration")))
    say(f"Computing the reference vectors of {len(texts)} texts")
    wanted = reference.vectors(model, texts)
    refused: list[Refused] = []
    for precision in _LADDER[_LADDER.index(spec.precision) :]:
        _make(model, pooling, precision, calibration, folder, say)
        quality = _measured(folder, precision, max_length, texts, wanted)
        say(
            f"{precision}: cosine to the reference {quality.cosine_mean:.4f} in the mean, "
            f"{quality.cosine_min:.4f} at least; rank agreement {quality.rank:.4f}"
        )
        if quality.cosine_mean >= MIN_COSINE_MEAN and quality.cosine_min >= MIN_COSINE:
            return Exported(
                precision=precision,
                arithmetic=_ARITHMETIC[precision],
                pooling=pooling,
                instructions=instructions,
                max_length=max_length,
                padding_token=padding_token(model),
                dimensions=wanted.shape[1],
                canaries=checked,
                readings=reference.readings(model, instructions),
                quality=quality,
                refused=tuple(refused),
                compiled=compiled.keep(
                    folder / openvino.FILE_NAME,
                    openvino.settings(_ARITHMETIC[precision], _THREADS),
                ),
            )
        say(f"That is too far away ({MIN_COSINE_MEAN} and {MIN_COSINE} are needed)")
        refused.append(Refused(precision=precision, quality=quality))
    raise ExportError(
        f"{spec.id} computes other vectors once it is converted.",
        cause=f"Cosine {quality.cosine_mean:.4f} in the mean even in {_LADDER[-1]}.",
        next_step='Set backend = "torch".',
    )


def _send_nothing() -> None:
    """Turn off the usage statistics that openvino and nncf send unless they run in a CI."""
    os.environ["CI"] = os.environ["NNCF_CI"] = "true"


def _require_convertible(model: SentenceTransformer, pooling: str, spec: ModelSpec) -> None:
    config = getattr(getattr(model[0], "model", None), "config", None)
    kind = getattr(config, "model_type", "unknown")
    found = None
    if [type(module) for module in model] not in _CHAINS:
        found = f"It is made of {reference.made_of(model)}"
    elif kind not in ARCHITECTURES or getattr(config, "is_decoder", False):
        found = f"Its architecture is {kind}, known are {', '.join(ARCHITECTURES)}"
    elif getattr(config, "position_embedding_type", None) not in (None, "absolute"):
        found = "Its positions are relative"
    elif pooling not in POOLINGS:
        found = f"Its pooling is {pooling}, known are {', '.join(POOLINGS)}"
    if found:
        raise ExportError(
            f"{spec.id} has an architecture that cannot be converted.",
            cause=f"{found}.",
            next_step='Set backend = "torch", or use a model of the BERT kind.',
        )


def _save_tokenizer(model: SentenceTransformer, folder: Path, spec: ModelSpec) -> None:
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportError(
            f"{spec.id} has no tokenizer.json, and none can be made of its tokenizer.",
            next_step='Set backend = "torch", or use another model.',
        )
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    (folder / reading.FILE_NAME).write_text(tokenizer.to_str(pretty=False), encoding="utf-8")


def _read(name: str) -> list[str]:
    return (_TEXTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def _with(instructions: Instructions, texts: Sequence[str]) -> list[str]:
    """A third of the texts as queries, the others as documents."""
    return [
        (instructions.document if number % 3 else instructions.query) + text
        for number, text in enumerate(texts)
    ]


def _make(
    model: SentenceTransformer,
    pooling: str,
    precision: str,
    calibration: Sequence[Encoded],
    folder: Path,
    say: Say,
) -> None:
    """Write the graph in one precision, over another one if there is one."""
    encoder: Any = model[0].model
    if precision == "int8":
        from space_app.backends.quantise import quantise  # noqa: PLC0415 -- after _send_nothing

        encoder = deepcopy(encoder)
        split_outliers(encoder, calibration)
        encoder.embeddings.word_embeddings = ByteRows(encoder.embeddings.word_embeddings.weight)
        say("Converting it by OpenVINO")
        graph = _converted(encoder, pooling)
        say(f"Quantising it by NNCF, calibrated on {len(calibration)} texts")
        graph = quantise(graph, calibration)
    else:
        say("Converting it by OpenVINO")
        graph = _converted(encoder, pooling)
    _save(graph, folder / openvino.FILE_NAME, half=precision == "bf16")


def _converted(encoder: Any, pooling: str) -> ov.Model:
    encoder.set_attn_implementation("sdpa")
    example = Pack(Shape(2, 4), 4)
    example.fill([[Encoded(np.ones(2, dtype=np.int64), truncated=False)] * 2] * 2)
    inputs = {name: torch.from_numpy(value) for name, value in example.inputs().items()}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's, on what is constant here
        return ov.convert_model(PackedGraph(encoder, pooling).eval(), example_input=inputs)


def _save(graph: ov.Model, path: Path, *, half: bool) -> None:
    """Save a graph such that the same one gives the same bytes.

    OpenVINO numbers graphs and nodes through the whole life of a process.
    """
    graph.set_friendly_name("embedding")
    for number, node in enumerate(graph.get_ordered_ops()):
        if node.get_type_name() != "Parameter":
            node.set_friendly_name(f"{node.get_type_name()}_{number}")
            for output in node.outputs():
                output.get_tensor().set_names(set())
    ov.save_model(graph, path, compress_to_fp16=half)
    # Versions, and how it was made, are of no use to the engine.
    tree = ET.parse(path)  # noqa: S314 -- written in the line above
    for element in tree.getroot().findall("rt_info"):
        tree.getroot().remove(element)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _measured(
    folder: Path, precision: str, max_length: int, texts: Sequence[str], wanted: Matrix
) -> Quality:
    """The lower one of those in each arithmetic that this CPU has."""
    found = []
    for arithmetic in dict.fromkeys(("fp32", _ARITHMETIC[precision])):
        embedder = OpenVinoEmbedder.load(
            folder, max_length=max_length, arithmetic=arithmetic, threads=_THREADS
        )
        found.append(agreement(canaries.embed_all(embedder, texts), wanted))
    lowest = min(found, key=lambda agreed: agreed.cosine_min)
    return Quality(texts=len(texts), **asdict(lowest))
