"""What goes over the wire: the bodies that clients send, and the shapes of replies.

A field's description completes the sentence "FIELD must be …", which is what a client is told.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from space_app.core.errors import InvalidRequest, MalformedBody, RequestError, TokensNotText
from space_app.core.types import EmbedRequest, Role

_TOKENS = re.compile(rb'"input"\s*:\s*\[[\s\[]*[0-9]')
"""The beginning of a list of token numbers; to look for it in the bytes is quicker by far."""

_RoleName = Literal["query", "document"]

_Texts = Annotated[
    str | Annotated[list[str], Field(fail_fast=True)],
    # Tried once each, and not beyond the first wrong item: a body may hold millions.
    Field(union_mode="left_to_right", description="a string or a list of strings"),
]


class _Body(BaseModel):
    """A request. Fields that are not known are somebody else's extension, and ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)


class EmbedBody(_Body):
    """POST /embed: one text or several, taken as queries unless said otherwise."""

    text: _Texts
    input_type: _RoleName = Field("query", description='"query" or "document"')

    @property
    def single(self) -> bool:
        """Whether one text was sent by itself, and one embedding is expected back."""
        return isinstance(self.text, str)

    def request(self, *, anew: bool) -> EmbedRequest:
        """What the core is asked."""
        texts = (self.text,) if isinstance(self.text, str) else tuple(self.text)
        return EmbedRequest(texts, Role(self.input_type), anew=anew)


class OpenAIBody(_Body):
    """POST /v1/embeddings: OpenAI's request, and `input_type`."""

    input: _Texts
    model: str = Field(
        "",
        description="a string: any name is answered by the model that is served; the suffix "
        "`:query` or `:document` sets input_type",
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description='"float" or "base64" (of little-endian float32)'
    )
    dimensions: Annotated[int, Field(ge=1)] | None = Field(
        None, description="a whole number from 1 to the model's dimensions"
    )
    input_type: _RoleName | None = Field(
        None, description='"query" or "document" (what is taken when it is not set)'
    )

    def request(self, *, anew: bool) -> EmbedRequest:
        """What the core is asked."""
        texts = (self.input,) if isinstance(self.input, str) else tuple(self.input)
        return EmbedRequest(texts, self._role(), self.dimensions, anew)

    def _role(self) -> Role:
        """The field decides, else the model's suffix, else a document."""
        suffix = self.model.rpartition(":")[2] if ":" in self.model else ""
        named = self.input_type or (suffix if suffix in tuple(Role) else Role.DOCUMENT)
        return Role(named)


class EmbedReply(BaseModel):
    """`embedding` for one text, `embeddings` for a list; `truncated` only where a text was cut."""

    embedding: list[float] | None = None
    embeddings: list[list[float]] | None = None
    truncated: list[int] | None = None


class OpenAIItem(BaseModel):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens that were read: after truncation, special tokens and instruction included."""

    prompt_tokens: int
    total_tokens: int


class OpenAIReply(BaseModel):
    """OpenAI's reply; `truncated` only where a text was cut."""

    object: Literal["list"]
    data: list[OpenAIItem]
    model: str
    usage: Usage
    truncated: list[int] | None = None


class ErrorDetail(BaseModel):
    """What went wrong. `code` is stable, for programs; `param` is the field at fault."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorReply(BaseModel):
    """The one shape of every error."""

    error: ErrorDetail


AnyBody = TypeVar("AnyBody", EmbedBody, OpenAIBody)


def parse(model: type[AnyBody], body: bytes) -> AnyBody:
    """Read a body, as JSON whatever its content type says.

    Raises:
        MalformedBody: it is no JSON.
        TokensNotText: the input is token numbers.
        InvalidRequest: a field is missing or wrong.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        complaint = _complaint(model, error, body)
    # Raised out here so that pydantic's error, which holds the input, is not chained to it.
    raise complaint


def _complaint(model: type[_Body], error: ValidationError, body: bytes) -> RequestError:
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    if first["type"] == "json_invalid":
        return MalformedBody("The body is not valid JSON (in UTF-8).")
    if not first["loc"]:
        return InvalidRequest("The body must be a JSON object.")
    name = str(first["loc"][0])
    if name == "input" and _TOKENS.search(body):
        return TokensNotText(
            "The input is a list of token numbers, from a vocabulary that is not this model's. "
            "Send text: in LangChain's OpenAIEmbeddings set check_embedding_ctx_length=False.",
            param=name,
        )
    described = model.model_fields[name].description
    if first["type"] == "missing":
        return InvalidRequest(f"{name} is missing: it must be {described}.", param=name)
    return InvalidRequest(f"{name} must be {described}.", param=name)
