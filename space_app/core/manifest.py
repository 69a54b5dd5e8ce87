"""manifest.json: what an artefact is, written by the export and read when the server starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Canary(_Part):
    """A text as the embedder gets it, and the vector that sentence-transformers makes of it.

    `exported` has the vectors that the artefact itself made of it when it was exported, by the
    arithmetic that they were computed in.
    """

    text: str
    vector: tuple[float, ...]
    exported: dict[str, tuple[float, ...]] = {}


class Quality(_Part):
    """Agreement with sentence-transformers in fp32, measured over texts that nothing was tuned on.

    `rank` is Spearman's rho between both rankings of all pairs by similarity.
    """

    texts: int
    cosine_mean: float
    cosine_min: float
    rank: float


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
    the reference itself.
    """

    format: Literal[3] = 3
    model: Annotated[str, Field(min_length=1)]
    revision: str | None
    backend: str
    precision: str
    arithmetic: str = "fp32"
    pooling: str
    query_instruction: str
    document_instruction: str
    dimensions: Annotated[int, Field(ge=1)]
    max_length: Annotated[int, Field(ge=1)]
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
    again = "Make the artefact again: python -m space_app.export MODEL OUT."
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArtefactError(
            f"{path} cannot be read.", cause=f"{error.strerror}.", next_step=again
        ) from error
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, wrong["loc"])) or "the file"
        raise ArtefactError(
            f"{path} is not a manifest of this version.",
            cause=f"{where}: {wrong['msg']}.",
            next_step=again,
        ) from error
