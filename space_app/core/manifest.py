"""manifest.json: what an artefact is, written by the export and read when the server starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME = "manifest.json"

_MOST_BYTES = 64 * 1024 * 1024
_MOST_TOKENS = 1_000_000
_LENGTH_TOLERANCE = 1e-2
"""Of recorded vectors. The self-check compares them by their dot product, which is the cosine only
where both have length 1."""

Cosine = Annotated[float, Field(ge=-1.001, le=1.001)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Canary(_Part):
    """A text as the embedder gets it, and the vector that sentence-transformers makes of it.

    `exported` has the vectors that the artefact itself made of it when it was exported, by the
    arithmetic that they were computed in.
    """

    text: str
    vector: tuple[float, ...]
    exported: dict[str, tuple[float, ...]] = {}

    @property
    def vectors(self) -> dict[str, tuple[float, ...]]:
        """All of its vectors, by the place that they have in the file."""
        return {"vector": self.vector} | {f"exported.{k}": v for k, v in self.exported.items()}


class Quality(_Part):
    """Agreement with sentence-transformers in fp32, measured over texts that nothing was tuned on.

    `rank` is Spearman's rho between both rankings of all pairs by similarity.
    """

    texts: int
    cosine_mean: Cosine
    cosine_min: Cosine
    rank: Cosine


class Compiled(_Part):
    """The graph as it was compiled at the export, for machines on which all of this is the same.

    It decides no vector and is no part of the fingerprint: without it a server compiles by itself.
    """

    made_for: tuple[str, ...]
    sha256: str


class Refused(_Part):
    """A precision that was tried first, and what was measured of it: too little."""

    precision: str
    quality: Quality


class Manifest(_Part):
    """One artefact. `revision` is the model's commit, None for a local folder.

    `precision` is what the weights and the big products are computed in, `arithmetic` everything
    else ("mixed": bf16 on CPUs with AMX, fp32 on others). `quality` is None where the backend is
    the reference itself. `padding_token` is the token that takes no position, in models of
    RoBERTa's kind; it follows from the files, and is no part of the fingerprint.
    """

    format: Literal[3] = 3
    model: Annotated[str, Field(min_length=1)]
    revision: str | None
    backend: str
    precision: Literal["int8", "bf16", "fp32"]
    arithmetic: Literal["fp32", "bf16", "mixed"] = "fp32"
    pooling: str
    query_instruction: str
    document_instruction: str
    dimensions: Annotated[int, Field(ge=1)]
    max_length: Annotated[int, Field(ge=1, le=_MOST_TOKENS)]
    padding_token: Annotated[int, Field(ge=0, le=2**31)] | None = None
    libraries: dict[str, str]
    quality: Quality | None = None
    refused: tuple[Refused, ...] = ()
    compiled: Compiled | None = None
    canaries: Annotated[tuple[Canary, ...], Field(min_length=1)]
    fingerprint: Annotated[str, Field(min_length=1)]

    @property
    def decisions(self) -> dict[str, object]:
        """What decides a vector besides the artefact's files."""
        return {
            "backend": self.backend,
            "precision": self.precision,
            "arithmetic": self.arithmetic,
            "normalise": True,
            "query_instruction": self.query_instruction,
            "document_instruction": self.document_instruction,
            "max_length": self.max_length,
        }


def write(manifest: Manifest, folder: Path) -> None:
    """Write the manifest into an artefact's folder."""
    text = manifest.model_dump_json(indent=1) + "\n"
    (folder / FILE_NAME).write_text(text, encoding="utf-8")


def read(folder: Path) -> Manifest:
    """Read an artefact's manifest; raises ArtefactError when there is none that can be used."""
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ArtefactError(
            f"{path} cannot be read.", cause=f"{error.strerror}.", next_step=_AGAIN
        ) from error
    if len(content) > _MOST_BYTES:
        raise _unusable(path, f"it is larger than {_MOST_BYTES // 1024**2} MB")
    try:
        found = Manifest.model_validate_json(content)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, wrong["loc"])) or "the file"
        raise _unusable(path, f"{where}: {wrong['msg']}") from error
    if (damage := next(_damages(found), None)) is not None:
        raise _unusable(path, damage)
    return found


_AGAIN = "Make the artefact again: python -m space_app.export MODEL OUT."


def _damages(manifest: Manifest) -> Iterator[str]:
    """What is wrong with the canaries: each has all the vectors that the self-check compares."""
    expected = manifest.canaries[0].exported.keys()
    if not expected:
        yield "canaries.0.exported: it has no vectors"
    for number, canary in enumerate(manifest.canaries):
        if canary.exported.keys() != expected:
            yield f"canaries.{number}.exported: it has vectors of another arithmetic than the first"
        for name, vector in canary.vectors.items():
            where = f"canaries.{number}.{name}"
            if len(vector) != manifest.dimensions:
                yield f"{where}: it has {len(vector)} numbers instead of {manifest.dimensions}"
            if not abs(math.hypot(*vector) - 1) <= _LENGTH_TOLERANCE:
                yield f"{where}: its length is not 1"


def _unusable(path: Path, why: str) -> ArtefactError:
    return ArtefactError(
        f"{path} is not a manifest of this version.", cause=f"{why}.", next_step=_AGAIN
    )
