"""int8 for an exported graph: weights and activations of its big products, by NNCF."""

from __future__ import annotations

import logging
import warnings
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

import nncf
from nncf.quantization.advanced_parameters import (
    AdvancedQuantizationParameters,
    AdvancedSmoothQuantParameters,
    OverflowFix,
)

from space_app.backends.pack import Pack
from space_app.core.types import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import openvino as ov

    from space_app.core.types import Encoded, Tokens

_PACKED_TOKENS = 512
_SMOOTHING = 0.5
"""How much of the activations' outliers moves into the weights (SmoothQuant's alpha)."""


def quantise(graph: ov.Model, texts: Sequence[Encoded]) -> ov.Model:
    """Quantise a graph, calibrated on these texts; the graph itself is used up."""
    packs = list(_packs(texts))
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(StringIO()), warnings.catch_warnings():  # progress bars
        warnings.simplefilter("ignore")
        return nncf.quantize(
            graph,
            nncf.Dataset(packs),
            subset_size=len(packs),
            model_type=nncf.ModelType.TRANSFORMER,
            # The engine computes attention in floating point whatever stands before it.
            ignored_scope=nncf.IgnoredScope(types=["ScaledDotProductAttention"], validate=False),
            advanced_parameters=AdvancedQuantizationParameters(
                # Weights take half of their range: a CPU without VNNI adds pairs of products in
                # 16 bits, which overflow otherwise, and its vectors would not be the others'.
                overflow_fix=OverflowFix.ENABLE,
                smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=_SMOOTHING),
            ),
        )


def _packs(texts: Sequence[Encoded]) -> Iterator[dict[str, Tokens]]:
    """The texts in steps as they come, so that short and long ones meet; none is filled up."""
    step: list[Encoded] = []
    for text in texts:
        if step and sum(map(len, step)) + len(text) > _PACKED_TOKENS:
            yield _inputs(step)
            step = []
        step.append(text)
    yield _inputs(step)


def _inputs(step: Sequence[Encoded]) -> dict[str, Tokens]:
    pack = Pack(Shape(1, sum(map(len, step))), len(step))
    pack.fill([step])
    return pack.inputs()
