"""A volume of a Space: kept and shown, never mounted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Volume(BaseModel):
    """As the Hub's published OpenAPI description has it (`PUT …/volumes`)."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )

    type: Literal["bucket", "model", "dataset", "space"]
    source: str
    mount_path: Annotated[str, Field(pattern="^/.*")]
    revision: str | None = None
    read_only: bool | None = None
    path: str | None = None

    def shown(self) -> dict[str, Any]:
        """What was given, by the Hub's names."""
        return self.model_dump(by_alias=True, exclude_none=True)
