"""Whether a model's files hold all its weights: the loader draws at random what it doesn't find."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Report = dict[str, Any]
"""What transformers says about one load: missing, unexpected and mismatched keys."""

_NO_PART = frozenset(
    {
        *("classifier", "cls", "discriminator_predictions", "generator_lm_head"),
        *("generator_predictions", "head", "lm_head", "pooler", "pre_classifier", "pred_layer"),
        *("predictions", "qa_outputs", "score", "sop_classifier", "vocab_layer_norm"),
        *("vocab_projector", "vocab_transform"),
    }
)
"""Tops of an encoder, by the names that transformers gives them: a vector needs none of them."""

_SHOWN = 5


@contextmanager
def reports() -> Iterator[list[Report]]:
    """Collect the reports on everything that transformers loads meanwhile.

    sentence-transformers asks for none, and has no way to ask.
    """
    found: list[Report] = []
    original = PreTrainedModel.__dict__["from_pretrained"]

    def reporting(cls: type[PreTrainedModel], *args: Any, **kwargs: Any) -> PreTrainedModel:
        # Weights of another shape are reported like missing ones, by their names, and do not raise.
        wanted = {"output_loading_info": True, "ignore_mismatched_sizes": True}
        model, report = original.__get__(None, cls)(*args, **(kwargs | wanted))
        found.append(report | {"prefix": model.base_model_prefix})
        return model  # type: ignore[no-any-return]

    setattr(PreTrainedModel, "from_pretrained", classmethod(reporting))  # noqa: B010 -- for mypy
    try:
        yield found
    finally:
        setattr(PreTrainedModel, "from_pretrained", original)  # noqa: B010 -- for mypy


def require_complete(folder: Path, found: Iterable[Report]) -> None:
    """Raise ArtefactError unless the files had each weight of the encoder, and no others of it."""
    wrong = [line for report in found for line in _wrong(report)]
    if wrong:
        raise ArtefactError(
            f"The weights in {folder} are not those of the model that its config.json describes.",
            cause=f"{'; '.join(wrong)}.",
            next_step="Get the model's files again. If these are complete, its own code computes "
            "something else than this architecture: use another model.",
        )


def _wrong(report: Report) -> Iterator[str]:
    prefix = f"{report['prefix']}."
    missing = {key for key in report["missing_keys"] if _counts(key, prefix)}
    unexpected = {key for key in report["unexpected_keys"] if _counts(key, prefix)}
    shapes = {
        f"{key} ({_shape(stored)} instead of {_shape(wanted)})"
        for key, stored, wanted in report["mismatched_keys"]
        if _counts(key, prefix)
    }
    for what, keys in (
        ("missing", missing),
        ("unknown to this architecture", unexpected),
        ("of another shape", shapes),
    ):
        if keys:
            shown = sorted(keys)[:_SHOWN]
            more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
            yield f"{what}: {', '.join(shown)}{more}"


def _counts(key: str, prefix: str) -> bool:
    """Whether a weight is of what computes tokens; numbers that only count up are none."""
    top, _, rest = key.removeprefix(prefix).partition(".")
    return top not in _NO_PART and not rest.endswith(("position_ids", "token_type_ids"))


def _shape(sizes: Iterable[int]) -> str:
    return "x".join(map(str, sizes)) or "one number"
