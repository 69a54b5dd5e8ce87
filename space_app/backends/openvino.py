"""The openvino backend: an exported graph on the CPU, every step at one of few lengths."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Self

import numpy as np
import openvino as ov

from space_app.backends.pack import Pack, texts_in
from space_app.backends.reading import Reader
from space_app.backends.resident import release
from space_app.core.errors import ArtefactError
from space_app.cpu_features import describe_cpu

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from space_app.core.types import Encoded, Matrix

FILE_NAME = "model.xml"
STEP_TEXTS = 32
_STEP_LENGTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""The engine builds its code anew for each shape that it meets (20 to 35 ms, 8 MB), so that only
these exist; longer ones where a model reads more."""


class OpenVinoEmbedder:
    """An Embedder over a compiled graph."""

    step_texts = STEP_TEXTS

    def __init__(self, compiled: ov.CompiledModel, reader: Reader, *, max_length: int):
        self.max_length = max_length
        self.step_lengths = step_lengths(max_length)
        self._request = compiled.create_infer_request()
        self._reader = reader
        self._packs = [Pack(length, texts_in(length, STEP_TEXTS)) for length in self.step_lengths]

    @classmethod
    def load(cls, folder: Path, *, max_length: int, arithmetic: str, threads: int) -> Self:
        """Load an artefact's graph and tokenizer; raises ArtefactError."""
        reader = Reader.load(folder, max_length)
        try:
            compiled = ov.Core().compile_model(
                str(folder / FILE_NAME),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": _hint(arithmetic),
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": 1,
                },
            )
        except RuntimeError as error:
            raise ArtefactError(
                f"The model in {folder} does not load.",
                cause=f"OpenVINO {ov.get_version()} refuses it.",
                next_step="Export it again with the libraries of requirements.txt.",
            ) from error
        embedder = cls(compiled, reader, max_length=max_length)
        # The first step of all is when weights are laid out anew; the file's are not read again.
        embedder.embed(embedder.encode([""]))
        release((folder / FILE_NAME).with_suffix(".bin"))
        return embedder

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """As Embedder.encode."""
        return self._reader.read(texts)

    def embed(self, step: Sequence[Encoded]) -> Matrix:
        """As Embedder.embed."""
        tokens = sum(map(len, step))
        pack = self._packs[bisect_left(self.step_lengths, tokens)]
        pack.fill(step)
        rows = self._request.infer(pack.inputs(), share_inputs=True, share_outputs=True)[0]
        return np.array(rows[: len(step)])


def _hint(arithmetic: str) -> str:
    """The engine's name of an arithmetic; bf16 where the CPU has it: elsewhere it is imitated."""
    return "bf16" if arithmetic == "bf16" and describe_cpu().has_bf16 else "f32"


def step_lengths(max_length: int) -> tuple[int, ...]:
    """The lengths of steps: the usual ones, and doubled ones until the longest text fits."""
    lengths = list(_STEP_LENGTHS)
    while lengths[-1] < max_length:
        lengths.append(lengths[-1] * 2)
    return tuple(lengths)
