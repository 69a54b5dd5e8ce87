"""What a model's files ask for besides its weights: what is carried out, and what is refused.

| file | carried out | refused by name |
|---|---|---|
| modules.json | Transformer, Pooling, and after them Dense, Normalize, LayerNorm, Dropout, CNN, WeightedLayerPooling | other modules, `kwargs` |
| config_sentence_transformers.json | `prompts`, `requirements`; `similarity_fn_name` if lengths don't matter | `default_prompt_name`, `truncate_dim`, `model_type`, unknown keys |
| sentence_bert_config.json | `max_seq_length`, `do_lower_case`, arguments of transformers | `query_length`, `document_length`, `query_expansion`, `processing_kwargs`, `modality_config`, `transformer_task` |
| tokenizer_config.json | all that is in its tokenizer | `truncation_side`, `split_special_tokens`, token types |
| 1_Pooling/config.json | `pooling_mode` | `include_prompt` where there are instructions |
| 2_Dense/config.json | all | an `activation_function` that isn't PyTorch's, unknown keys |

`padding_side` and `unpad_inputs` change no vector here, `similarity_fn_name` none of length 1.
"""  # noqa: E501 -- a table

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import (
    CNN,
    Dense,
    Dropout,
    LayerNorm,
    Normalize,
    Pooling,
    WeightedLayerPooling,
)

from space_app.core.errors import ArtefactError, ExportError
from space_app.core.exported import Instructions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

    from space_app.model_file import ModelSpec

_MODULES = (
    Transformer,
    *(Pooling, Dense, Normalize, LayerNorm, Dropout, CNN, WeightedLayerPooling),
)
_KNOWN = frozenset(
    {
        *("__version__", "default_prompt_name", "model_type", "prompts", "requirements"),
        *("similarity_fn_name", "truncate_dim"),
    }
)
"""Keys of config_sentence_transformers.json."""

_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_TEXT = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
"""How a text becomes tokens' vectors; "message" is a chat's template around it."""


def require_known(model: SentenceTransformer, source: Path, spec: ModelSpec) -> None:
    """Raise ExportError, naming each setting of the model's files that is not carried out."""
    found = [*_of_modules(model, source), *_of_texts(model), *_of_vectors(model, source)]
    if found:
        raise ExportError(
            f"{spec.id} asks for what this server does not do.",
            cause=f"{'; '.join(found)}.",
            next_step="Use another model. Without this its vectors would be others than "
            "sentence-transformers'.",
        )


def instructions(
    model: SentenceTransformer, spec: ModelSpec, say: Callable[[str], None]
) -> Instructions:
    """What is put before texts: as model.toml says, else as the model's own prompts."""
    # The names that encode_query and encode_document of sentence-transformers look for.
    prompts = {name: text or "" for name, text in model.prompts.items()}
    document = next((name for name in _DOCUMENT_PROMPTS if name in prompts), "document")
    own = Instructions(query=prompts.get("query", ""), document=prompts.get(document, ""))
    found = Instructions(
        query=own.query if spec.query_instruction is None else spec.query_instruction,
        document=own.document if spec.document_instruction is None else spec.document_instruction,
    )
    if found.query and spec.query_instruction is None:
        say(f"Before queries goes the model's own prompt: {found.query!r}")
    if found.document and spec.document_instruction is None:
        say(f"Before documents goes the model's own prompt: {found.document!r}")
    unused = [
        name for name, text in prompts.items() if text and text not in (found.query, found.document)
    ]
    if unused:
        say(f"Prompts of the model that nothing is put before: {', '.join(sorted(unused))}")
    _require_default(model, found, spec)
    return found


def _require_default(model: SentenceTransformer, found: Instructions, spec: ModelSpec) -> None:
    """A text of no role is a document here, and has the default prompt in `encode`."""
    name = model.default_prompt_name
    decided = None not in (spec.query_instruction, spec.document_instruction)
    if name is None or decided or model.prompts.get(name) == found.document:
        return
    raise ExportError(
        f"{spec.id} puts its prompt {name!r} before texts that are neither query nor document, "
        "which this server does not do.",
        cause=f"default_prompt_name is {name!r} in config_sentence_transformers.json.",
        next_step="Set query_instruction and document_instruction, each to a prompt or to "
        f'"": {name!r} is {model.prompts.get(name)!r}.',
    )


def _of_modules(model: SentenceTransformer, source: Path) -> Iterator[str]:
    listed = _json(source / "modules.json", list)
    for module, entry in zip(model, listed, strict=False):
        if not isinstance(module, _MODULES):
            yield f"a module is {type(module).__name__}"
        if entry.get("kwargs"):
            yield f"modules.json has kwargs for {type(module).__name__}"
        if isinstance(module, Dense):
            yield from _of_dense(source / entry["path"] / "config.json")


def _of_dense(file: Path) -> Iterator[str]:
    """Both are only warned of, and something else is computed."""
    config = _json(file, dict) if file.is_file() else {}
    for key in sorted(config.keys() - inspect.signature(Dense).parameters.keys()):
        yield f"Dense has {key}"
    activation = config.get("activation_function", "torch.")
    if not activation.startswith("torch."):
        yield f"Dense has activation_function {activation!r}, which is code of the model's own"


def _of_texts(model: SentenceTransformer) -> Iterator[str]:
    """What changes how a text becomes tokens, or tokens vectors."""
    first: Any = model[0]
    for name in ("query_length", "document_length", "query_expansion", "processing_kwargs"):
        if value := getattr(first, name, None):
            yield f"{name} is {value!r}"
    if getattr(first, "transformer_task", "feature-extraction") != "feature-extraction":
        yield f"transformer_task is {first.transformer_task!r}"
    if (modality := getattr(first, "modality_config", _TEXT)) != _TEXT:
        yield f"modality_config has {', '.join(map(str, modality))}, or another output than usual"
    tokenizer: Any = getattr(model, "tokenizer", None)
    if (side := getattr(tokenizer, "truncation_side", "right")) != "right":
        yield f"truncation_side is {side!r}"
    if getattr(tokenizer, "split_special_tokens", False):
        yield "split_special_tokens is true"
    if isinstance(first, Transformer) and tokenizer is not None:
        types = first.preprocess(["one text"]).get("token_type_ids")
        if types is not None and types.any():
            yield "its tokenizer gives the tokens of a text types"


def _of_vectors(model: SentenceTransformer, source: Path) -> Iterator[str]:
    file = source / "config_sentence_transformers.json"
    config = _json(file, dict) if file.is_file() else {}
    if (kind := config.get("model_type", "SentenceTransformer")) != "SentenceTransformer":
        yield f"model_type is {kind!r}"
    for key in sorted(config.keys() - _KNOWN):
        if config[key] is not None:
            yield f"{file.name} has {key}"
    if model.truncate_dim is not None:
        yield f"truncate_dim is {model.truncate_dim} (a request may have dimensions)"
    for name, text in model.prompts.items():
        if not isinstance(text, str):
            yield f"the prompt {name!r} is not a text"
    last = model[-1]
    length_1 = isinstance(last, Normalize) and last.module_output_name == "sentence_embedding"
    similarity = config.get("similarity_fn_name") or "cosine"
    if similarity != "cosine" and not length_1:
        yield f"similarity_fn_name is {similarity!r} of vectors of any length, and here all have 1"


def _json(file: Path, kind: type[Any]) -> Any:
    """What sentence-transformers has read before, so that little can be wrong with it."""
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, kind):
        raise ArtefactError(f"{file} holds something else than sentence-transformers wants.")
    return found
