"""model.toml: which model an artefact is made from, and how."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from space_app.core.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

Precision = Literal["int8", "bf16", "fp32"]


class ModelSpec(BaseModel):
    """The keys of model.toml. `id` is a model on the Hub, or a local folder's path.

    An instruction that is left out is the model's own prompt; an empty one is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(min_length=1)]
    revision: Annotated[str, Field(min_length=1)] = "main"
    backend: Literal["openvino", "torch"] = "openvino"
    precision: Precision = "int8"
    query_instruction: str | None = None
    document_instruction: str | None = None
    max_length: Annotated[int, Field(ge=8)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _torch_is_exact(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("backend") == "torch":
            return {"precision": "fp32", **data}
        return data

    @model_validator(mode="after")
    def _torch_knows_one(self) -> ModelSpec:
        if self.backend == "torch" and self.precision != "fp32":
            msg = f"precision is {self.precision}, but the backend torch has fp32 only"
            raise ValueError(msg)
        return self


def read(path: Path) -> ModelSpec:
    """Read a model.toml; raises ExportError naming every key that is wrong."""
    try:
        return ModelSpec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise _not_right(str(path), error) from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of an endless number
        raise ExportError(f"{path} is not valid TOML: {error}.") from error


def with_precision(spec: ModelSpec, precision: Precision) -> ModelSpec:
    """Another precision instead; raises ExportError where the backend has it not."""
    try:
        return ModelSpec.model_validate(spec.model_dump() | {"precision": precision})
    except ValidationError as error:
        raise _not_right("--precision", error) from error


def _not_right(what: str, error: ValidationError) -> ExportError:
    wrong = (
        f"{'.'.join(map(str, detail['loc'])) or 'the file'}: {detail['msg']}"
        for detail in error.errors(include_url=False)
    )
    return ExportError(
        f"{what} is not right.",
        cause="; ".join(wrong) + ".",
        next_step=f"Its keys are: {', '.join(ModelSpec.model_fields)}.",
    )
