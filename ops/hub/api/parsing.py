"""Bodies of requests as pydantic models, whose mistakes are the caller's."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ops.hub.errors import bad_request

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""What can be handed to git, whose texts end with a NUL."""


class Asked(BaseModel):
    """What a caller sends: names as the Hub writes them, types as they are meant."""

    # Values may be secrets, so no message ever holds what was sent.
    model_config = ConfigDict(strict=True, alias_generator=to_camel, hide_input_in_errors=True)


_A = TypeVar("_A", bound=Asked)


def parsed(model: type[_A], value: Any) -> _A:
    """A value as the model has it; raises HubError (400) that names the first thing wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
    # Outside of the handler: the error's own text may show what was sent.
    raise bad_request(f'"{where}": {first["msg"]}' if where else first["msg"])
