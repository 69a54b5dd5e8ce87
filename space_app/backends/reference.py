"""The reference: a sentence-transformers model in fp32, what it is made of, and its own vectors."""

from __future__ import annotations

import re
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers.utils import logging as transformers_logging

from space_app.backends import weights
from space_app.core.errors import ArtefactError, ExportError
from space_app.core.exported import CANARY_DOCUMENTS, CANARY_QUERY, Reading
from space_app.core.manifest import Canary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from space_app.core.exported import Instructions
    from space_app.core.types import Matrix
    from space_app.model_file import ModelSpec

_POSITIONS = re.compile(r"position|^wpe$")
"""Names of tables of positions, in the architectures of transformers."""

_LENGTH_TOLERANCE = 1e-3
_MOST_SHOWN = 500


def load_model(folder: Path) -> SentenceTransformer:
    """Load a sentence-transformers folder in fp32; raises ArtefactError.

    Code that comes with a model is never run, and no weight is drawn at random.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with weights.reports() as found:
            model = SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": torch.float32},
            )
    except (
        OSError,
        ValueError,
        RuntimeError,
        LookupError,
        TypeError,
        AttributeError,
        ImportError,
        EOFError,
        UnpicklingError,
        SafetensorError,
    ) as error:
        # What transformers and its parsers are known to raise on files that they cannot use.
        raise ArtefactError(
            f"The model in {folder} does not load.",
            cause=f"{type(error).__name__}: {_one_line(error)}",
            next_step="Its files are damaged, or it is not a model that sentence-transformers runs "
            "without code of the model's own.",
        ) from error
    weights.require_complete(folder, found)
    return model.eval()


def pooling(model: SentenceTransformer, spec: ModelSpec, instructions: Instructions) -> str:
    """How tokens become one vector; raises ExportError for a model that does not work so."""
    found = [module for module in model if isinstance(module, Pooling)]
    if len(found) != 1 or getattr(model, "tokenizer", None) is None:
        raise ExportError(
            f"{spec.id} is not a text model with one pooling.",
            cause=f"It is made of {made_of(model)}.",
            next_step="Use a model of the BERT kind: a Transformer, then a Pooling.",
        )
    how = found[0].get_config_dict()
    if (instructions.query or instructions.document) and not how.get("include_prompt", True):
        raise ExportError(
            f"{spec.id} leaves instructions out of its pooling, which this server does not do.",
            cause="include_prompt is false in its pooling's config.json.",
            next_step='Use another model, or set query_instruction and document_instruction to "".',
        )
    mode = how["pooling_mode"]
    return mode if isinstance(mode, str) else "+".join(mode)


def made_of(model: SentenceTransformer) -> str:
    """The model's modules, in their order."""
    return ", ".join(type(module).__name__ for module in model)


def limit(model: SentenceTransformer, spec: ModelSpec, say: Callable[[str], None]) -> int:
    """Lower the model's length to what was asked and its positions reach; returns what it is."""
    own, table = model.max_seq_length, positions(model)
    if own is not None and table is not None and own > table:
        say(f"Its limit of {own} tokens is lowered to the {table} that it has positions for")
    known = [number for number in (own, table) if number is not None]
    most = min(known, default=None)
    wanted = spec.max_length or most
    if wanted is None:
        raise ExportError(
            f"{spec.id} does not say how long a text may be.", next_step="Set max_length."
        )
    if most is not None and wanted > most:
        raise ExportError(
            f"max_length is {wanted}, but {spec.id} reads {most} tokens at most.",
            next_step=f"Set max_length to {most} or less, or leave it out.",
        )
    model.max_seq_length = wanted
    return wanted


def positions(model: SentenceTransformer) -> int | None:
    """How many tokens have positions in its table; None if it has no table.

    Models of RoBERTa's kind count from behind the padding's number, OPT and BART from an offset.
    """
    sizes = []
    for owner in model[0].modules():
        for name, table in owner.named_children():
            if isinstance(table, torch.nn.Embedding) and _POSITIONS.search(name):
                padding = getattr(owner, "padding_idx", None)
                behind = padding + 1 if isinstance(padding, int) else getattr(table, "offset", 0)
                sizes.append(table.num_embeddings - behind)
    return min(sizes, default=None)


def vectors(model: SentenceTransformer, texts: Sequence[str]) -> Matrix:
    """What sentence-transformers makes of texts, with nothing put before them."""
    # An empty prompt: the model's own ones are not used, the instructions are in the texts.
    found: Matrix = model.encode(
        list(texts), prompt="", normalize_embeddings=True, show_progress_bar=False
    )
    return found


def canaries(model: SentenceTransformer, instructions: Instructions) -> tuple[Canary, ...]:
    """The texts that an artefact of this model is checked with, and the reference's vectors."""
    how: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
    before, query = instructions.query, [CANARY_QUERY]
    found = [(before + query[0], model.encode_query(query, prompt=before, **how)[0])]
    before, documents = instructions.document, list(CANARY_DOCUMENTS)
    rows = model.encode_document(documents, prompt=before, **how)
    found += [(before + text, row) for text, row in zip(documents, rows, strict=True)]
    if not all(abs(np.linalg.norm(row) - 1) <= _LENGTH_TOLERANCE for _, row in found):
        raise ExportError(
            "The model makes of a text no vector that could be brought to length 1.",
            cause="Its weights hold something else than numbers, or nothing but zeros.",
            next_step="Get its files again, or use another model.",
        )
    return tuple(Canary(text=text, vector=tuple(row.tolist())) for text, row in found)


def readings(model: SentenceTransformer, instructions: Instructions) -> tuple[Reading, ...]:
    """What sentence-transformers reads of texts by which readers differ, in either role."""
    assert model.max_seq_length is not None  # noqa: S101 -- `limit` has set it
    texts = (
        *(CANARY_QUERY, *CANARY_DOCUMENTS),
        " ".join(map(str, range(model.max_seq_length))),
        *(f"Before {token} and after{token}it" for token in model.tokenizer.all_special_tokens),
    )
    found = []
    for role, before in (("query", instructions.query), ("document", instructions.document)):
        for text in texts:
            tokens = model.preprocess([text], prompt=before, task=role)["input_ids"][0]
            found.append(Reading(before + text, tuple(tokens.tolist())))
    return tuple(found)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:_MOST_SHOWN] or "no details"
