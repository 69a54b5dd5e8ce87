"""What goes over the wire: the bodies that clients send, and the shapes of replies.

A field's description completes the sentence "FIELD must be …", which is what a client is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from space_app.core.errors import EmptyInput
from space_app.core.types import EmbedRequest, Role, Side

if TYPE_CHECKING:
    from pydantic.config import JsonDict

_ROLES = {
    "query": Role.QUERY,
    "search_query": Role.QUERY,
    "document": Role.DOCUMENT,
    "search_document": Role.DOCUMENT,
    "passage": Role.DOCUMENT,
}
"""The names of roles: ours, Cohere's, and those of NVIDIA and of the E5 models."""

RoleName = Literal["query", "search_query", "document", "search_document", "passage"]

_TEXT: JsonDict = {"type": "string", "minLength": 1}
_TEXTS_SCHEMA: dict[str, Any] = {
    "oneOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}],
}

Texts = Annotated[
    str | Annotated[list[str], Field(fail_fast=True)],
    # Tried once each, and not beyond the first wrong item: a body may hold millions.
    Field(
        union_mode="left_to_right",
        description="a string or a list of strings",
        json_schema_extra=lambda schema: _replace(schema, _TEXTS_SCHEMA),
    ),
]
Text = Annotated[str, Field(description="a string", json_schema_extra={"minLength": 1})]


def _replace(schema: dict[str, Any], by: dict[str, Any]) -> None:
    """Describe in a schema of our own what is told apart only when it is computed: empty texts."""
    schema.pop("anyOf", None)
    schema.update(by)


def _whole(value: object) -> object:
    """768.0 is a whole number in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def tupled(texts: str | list[str]) -> tuple[str, ...]:
    """One text or several, as several."""
    return (texts,) if isinstance(texts, str) else tuple(texts)


def role_of(*names: str | None) -> Role | None:
    """The role that the first name says, of those that are there."""
    return next((_ROLES[name] for name in names if name is not None), None)


class Body(BaseModel):
    """A request. Fields that are not known are somebody else's extension, and ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Options(Body):
    """What every request for vectors may say besides its texts."""

    input_type: RoleName | None = Field(
        None,
        description='"query" or "document" ("search_query", "search_document" and "passage" are '
        "understood too)",
    )
    prompt_name: RoleName | None = Field(
        None, description='"query" or "document": the same as input_type, which counts before it'
    )
    dimensions: Annotated[int, Field(ge=1), BeforeValidator(_whole)] | None = Field(
        None, description="a whole number from 1 to the model's dimensions"
    )
    truncate: bool | None = Field(
        None, description="true (what is taken when it is not set) or false: refuse longer texts"
    )
    truncation_direction: Literal["Right", "right", "Left", "left"] | None = Field(
        None, description='"Right" (what is taken when it is not set) or "Left": where to cut'
    )

    def _request(
        self, texts: str | list[str], role: Role, *, suffix: str | None = None, anew: bool
    ) -> EmbedRequest:
        return EmbedRequest(
            tupled(texts),
            role_of(self.input_type, self.prompt_name, suffix) or role,
            self.dimensions,
            anew,
            truncate=self.truncate is not False,
            side=Side((self.truncation_direction or "right").lower()),
        )


class EmbedBody(_Options):
    """POST /embed with `text`: one text or several, taken as queries unless said otherwise."""

    text: Texts

    @property
    def single(self) -> bool:
        """Whether one text was sent by itself, and one embedding is expected back."""
        return isinstance(self.text, str)

    def request(self, *, anew: bool) -> EmbedRequest:
        """What the core is asked."""
        return self._request(self.text, Role.QUERY, anew=anew)


class InputsBody(_Options):
    """POST /embed or / with `inputs`, as TEI takes it: documents unless said otherwise."""

    inputs: Texts
    normalize: Literal[True] | None = Field(
        None,
        description="true, or left out: vectors have length 1 here, and no other length is kept "
        "(in Haystack's HuggingFaceAPI embedders set normalize=True)",
    )
    encoding_format: Literal["float"] | None = Field(
        None, description='"float", or left out; POST /v1/embeddings has base64'
    )

    def request(self, *, anew: bool) -> EmbedRequest:
        """What the core is asked."""
        return self._request(self.inputs, Role.DOCUMENT, anew=anew)


class OpenAIBody(_Options):
    """POST /v1/embeddings: OpenAI's request, and what is said of a text's role and length."""

    input: Texts
    model: str | None = Field(
        None,
        description="a string: any name is answered by the model that is served; the suffix "
        "`:query` or `:document` sets input_type",
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None,
        description='"float" (what is taken when it is not set) or "base64" (of little-endian '
        "float32)",
    )

    def request(self, default: Role, *, anew: bool) -> EmbedRequest:
        """What the core is asked. The fields decide, else the model's suffix, else the default."""
        suffix = (self.model or "").rpartition(":")[2] if ":" in (self.model or "") else ""
        return self._request(
            self.input, default, suffix=suffix if suffix in tuple(Role) else None, anew=anew
        )


class TokenizeBody(Body):
    """POST /tokenize, as TEI takes it."""

    inputs: Texts
    add_special_tokens: bool | None = Field(
        None, description="true (what is taken when it is not set) or false"
    )
    prompt_name: RoleName | None = Field(
        None, description='"query" or "document", to have its instruction before the text'
    )


class Sentences(Body):
    """One sentence, and those to compare with it."""

    source_sentence: Text
    sentences: Annotated[list[str], Field(fail_fast=True)] = Field(
        description="a list of strings", json_schema_extra={"items": _TEXT, "minItems": 1}
    )


class SimilarityOptions(Body):
    """How they are read."""

    prompt_name: RoleName | None = None
    truncate: bool | None = None
    truncation_direction: Literal["Right", "right", "Left", "left"] | None = None


class SimilarityBody(Body):
    """POST /similarity, as TEI takes it: documents unless said otherwise."""

    inputs: Sentences = Field(
        description="an object: source_sentence is a string, sentences a list of strings"
    )
    parameters: SimilarityOptions | None = Field(
        None, description="an object with prompt_name, truncate or truncation_direction"
    )

    def request(self, *, anew: bool) -> EmbedRequest:
        """What the core is asked: the source first; raises EmptyInput where nothing else is."""
        if not self.inputs.sentences:
            raise EmptyInput("There is no sentence to compare with.")
        options = self.parameters or SimilarityOptions()
        return EmbedRequest(
            (self.inputs.source_sentence, *self.inputs.sentences),
            role_of(options.prompt_name) or Role.DOCUMENT,
            anew=anew,
            truncate=options.truncate is not False,
            side=Side((options.truncation_direction or "right").lower()),
        )


class OneEmbedding(BaseModel):
    """For one text; `truncated` only where it was cut."""

    embedding: list[float]
    truncated: list[int] = Field(default_factory=list)


class SeveralEmbeddings(BaseModel):
    """For a list of texts; `truncated` lists those that were cut, and is only there for them."""

    embeddings: list[list[float]]
    truncated: list[int] = Field(default_factory=list)


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
    """OpenAI's reply; `truncated` lists the texts that were cut, and is only there for them."""

    object: Literal["list"]
    data: list[OpenAIItem]
    model: str
    usage: Usage
    truncated: list[int] = Field(default_factory=list)


class OneToken(BaseModel):
    """A token; `start` and `stop` count bytes of UTF-8, and special tokens have none."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class ModelEntry(BaseModel):
    """One of the model's names."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """OpenAI's list of models."""

    object: Literal["list"]
    data: list[ModelEntry]


class Status(BaseModel):
    """How the server is: "healthy", "degraded", "unhealthy", "stopping" or "alive"."""

    status: str
    reason: str | None = None


class ErrorDetail(BaseModel):
    """What went wrong. `code` is stable, for programs; `param` is the field at fault."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorReply(BaseModel):
    """The shape of errors, as OpenAI has it."""

    error: ErrorDetail


class TeiError(BaseModel):
    """The shape of errors where TEI's requests are answered."""

    error: str
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"]
