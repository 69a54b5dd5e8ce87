"""The openvino backend: an exported graph on the CPU, every step at one of few shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import openvino as ov

from space_app.backends.compiled import compile_graph
from space_app.backends.pack import Pack, texts_in
from space_app.backends.reading import Reader
from space_app.backends.resident import release
from space_app.backends.tables import Tables
from space_app.core.errors import ArtefactError, InvalidVector
from space_app.core.types import Shape, Side
from space_app.cpu_features import describe_cpu

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from space_app.core.manifest import Compiled
    from space_app.core.types import Encoded, Matrix, Token

FILE_NAME = "model.xml"
STEP_TEXTS = 32
_HALF = {"fp32": (), "bf16": ("amx_bf16", "avx512_bf16"), "mixed": ("amx_bf16",)}
"""By an artefact's arithmetic: the CPUs that compute it in bf16, the others in fp32."""

_WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_ROWS = (Shape(2, 256), Shape(4, 128), Shape(3, 224))
"""The engine builds its code anew for each shape that it meets (20 to 35 ms, 8 MB), so that only
these exist: one row of any of the widths, and the longest steps in several rows, as there is no
attention to compute between rows. Where a model reads more, there are wider rows."""


class OpenVinoEmbedder:
    """An Embedder over a compiled graph."""

    step_texts = STEP_TEXTS

    def __init__(
        self,
        compiled: ov.CompiledModel,
        reader: Reader,
        tables: Tables,
        *,
        max_length: int,
        arithmetic: str,
        padding: int | None = None,
    ):
        self._weights: Path | None = None
        """The file to let go of after the first step, in which weights are laid out anew."""
        self.arithmetic = arithmetic
        self.max_length = max_length
        self.step_shapes = step_shapes(max_length)
        self._request = compiled.create_infer_request()
        self._reader = reader
        self._tables = tables
        self._packs = [
            Pack(shape, texts_in(shape, STEP_TEXTS), padding) for shape in self.step_shapes
        ]

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        max_length: int,
        arithmetic: str,
        threads: int,
        kept: Compiled | None = None,
        padding: int | None = None,
    ) -> Self:
        """Load an artefact's graph and tokenizer; raises ArtefactError.

        `padding` is the token that takes no position, where the model has such a one.
        """
        reader = Reader.load(folder, max_length)
        try:
            tables = Tables.read(folder / FILE_NAME)
            told = settings(arithmetic, threads)
            compiled = compile_graph(folder / FILE_NAME, told, kept)
        except RuntimeError as error:
            raise ArtefactError(
                f"The model in {folder} does not load.",
                cause=f"OpenVINO {ov.get_version()} refuses it.",
                next_step="Export it again with the libraries of requirements.txt.",
            ) from error
        if max_length > tables.positions:
            raise ArtefactError(
                f"The model in {folder} reads {tables.positions} tokens, but its manifest says "
                f"{max_length}.",
                cause="Longer texts would get wrong vectors.",
                next_step="Export the model again.",
            )
        computed = "bf16" if told["INFERENCE_PRECISION_HINT"] == "bf16" else "fp32"
        embedder = cls(
            compiled,
            reader,
            tables,
            max_length=max_length,
            arithmetic=computed,
            padding=padding,
        )
        embedder._weights = (folder / FILE_NAME).with_suffix(".bin")
        return embedder

    def encode(self, texts: Sequence[str], side: Side = Side.RIGHT) -> list[Encoded]:
        """As Embedder.encode."""
        return self._reader.read(texts, side)

    def tokenise(self, text: str, *, special: bool) -> Iterable[Token]:
        """As Embedder.tokenise."""
        return self._reader.tokens(text, special=special)

    def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:
        """As Embedder.embed."""
        totals = [sum(map(len, row)) for row in step]
        pack = next(pack for pack in self._packs if pack.shape.holds(totals))
        pack.fill(step)
        self._require_known(pack)
        found = self._request.infer(pack.inputs(), share_inputs=True, share_outputs=True)[0]
        vectors = np.array(found[: sum(map(len, step))])
        # A step that the engine gives up leaves these: not the vectors of somebody else's texts.
        found.fill(np.nan)
        if self._weights is not None:
            release(self._weights)
            self._weights = None
        return vectors

    def _require_known(self, pack: Pack) -> None:
        """Raise InvalidVector where the graph has no such token or position."""
        tables = self._tables
        if pack.ids.max() >= tables.tokens or pack.position.max() >= tables.positions:
            raise InvalidVector(
                f"A text is longer than the model's {tables.positions} positions, or its tokenizer "
                f"made a token that the model's vocabulary of {tables.tokens} doesn't have. "
                "Leave that text out."
            )


def settings(arithmetic: str, threads: int) -> dict[str, str | int]:
    """What the engine is told; bf16 only where the CPU has it: elsewhere it is imitated."""
    half = describe_cpu().bf16 in _HALF[arithmetic]
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }


def step_shapes(max_length: int) -> tuple[Shape, ...]:
    """The shapes of steps: the usual ones, and doubled ones until the longest text fits."""
    widths = list(_WIDTHS)
    while widths[-1] < max_length:
        widths.append(widths[-1] * 2)
    shapes = [Shape(1, width) for width in widths] + list(_ROWS)
    return tuple(sorted(shapes, key=lambda shape: (shape.tokens, shape.width)))
