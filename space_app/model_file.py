"""model.toml: which model an artefact is made from, and how."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from space_app.core.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path


class ModelSpec(BaseModel):
    """The keys of model.toml. `id` is a model on the Hub, or a local folder's path."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(min_length=1)]
    revision: Annotated[str, Field(min_length=1)] = "main"
    backend: Literal["torch"] = "torch"
    precision: Literal["fp32"] = "fp32"
    query_instruction: str = ""
    document_instruction: str = ""
    max_length: Annotated[int, Field(ge=8)] | None = None


def read(path: Path) -> ModelSpec:
    """Read a model.toml; raises ExportError naming every key that is wrong."""
    try:
        return ModelSpec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} is not valid TOML: {error}.") from error
    except ValidationError as error:
        wrong = (
            f"{'.'.join(map(str, detail['loc'])) or 'the file'}: {detail['msg']}"
            for detail in error.errors(include_url=False)
        )
        raise ExportError(
            f"{path} is not right.",
            cause="; ".join(wrong) + ".",
            next_step=f"Its keys are: {', '.join(ModelSpec.model_fields)}.",
        ) from error
