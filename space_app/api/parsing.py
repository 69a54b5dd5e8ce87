"""From the bytes of a body to what was asked, or to a complaint that quotes nothing of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from pydantic import ValidationError

from space_app.api.schemas import Body, EmbedBody, InputsBody, OpenAIBody, SimilarityBody
from space_app.api.structure import Structure, excess
from space_app.core.errors import (
    InvalidRequest,
    MalformedBody,
    RequestError,
    TokensNotText,
    TooManyInputs,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from space_app.api.cl100k import Vocabulary

AnyBody = TypeVar("AnyBody", bound=Body)

_SPARE = Structure(lists_and_objects=1000, strings=20_000, values=1_000_000)
"""What a body may hold besides one of each for each input: other people's extensions, and token
numbers. All of it takes some ten milliseconds to parse."""

_OPENING = re.compile(rb"\s*[\[{\"]")


class Parser:
    """Reads bodies; `max_inputs` bounds what is looked at, a vocabulary reads token numbers."""

    def __init__(self, *, max_inputs: int, vocabulary: Vocabulary | None = None):
        self._most = Structure(*(max_inputs + spare for spare in _SPARE))
        self._vocabulary = vocabulary

    def openai(self, body: bytes) -> OpenAIBody:
        """POST /v1/embeddings."""
        found = self._object(body)
        if _are_tokens(value := found.get("input", [])):
            if self._vocabulary is None:
                raise TokensNotText(
                    "The input is a list of token numbers, from a vocabulary that is not this "
                    "model's. Send text: in LangChain's OpenAIEmbeddings set "
                    "check_embedding_ctx_length=False.",
                    param="input",
                )
            found["input"] = self._vocabulary.texts(value)
        return validated(OpenAIBody, found)

    def embed(self, body: bytes, *, if_inputs: Callable[[], None]) -> EmbedBody | InputsBody:
        """POST /embed: which of its two requests it is, `text` or `inputs` decides.

        `if_inputs` is called before anything that may be wrong with the latter.
        """
        found = self._object(body)
        if ("text" in found) == ("inputs" in found):
            raise InvalidRequest(
                "Exactly one of text and inputs is needed: a string or a list of strings.",
                param="text",
            )
        if "text" in found:
            return validated(EmbedBody, found)
        if_inputs()
        return _inputs(found)

    def inputs(self, body: bytes) -> InputsBody | SimilarityBody:
        """POST /: TEI's, and what huggingface_hub sends there to compare sentences."""
        found = self._object(body)
        if isinstance(found.get("inputs"), dict):
            return validated(SimilarityBody, found)
        return _inputs(found)

    def any(self, model: type[AnyBody], body: bytes) -> AnyBody:
        """A body that is read as it is described."""
        return validated(model, self._object(body))

    def _object(self, body: bytes) -> dict[str, Any]:
        """The JSON object that it is.

        Raises:
            MalformedBody: it is no JSON.
            TooManyInputs: it holds values by the hundred thousand, which no request needs.
            InvalidRequest: it is no object.
            MemoryError: there is too little memory to read it.
        """
        if (kind := excess(body, self._most)) is not None:
            raise TooManyInputs(
                f"The body holds more than {getattr(self._most, kind)} {kind.replace('_', ' ')}. "
                "Send fewer inputs at a time."
            )
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            # Its attributes hold the body, so it is not chained.
            reason = _reason(error, body)
        else:
            if isinstance(found, dict):
                return found
            raise InvalidRequest("The body must be a JSON object.")
        raise MalformedBody(f"The body is not valid JSON{reason}.")


def validated(model: type[AnyBody], found: dict[str, Any]) -> AnyBody:
    """What was asked; raises InvalidRequest where a field is missing or wrong."""
    try:
        return model.model_validate(found)
    except ValidationError as error:
        complaint = _complaint(model, error)
    # Raised out here so that pydantic's error, which holds the input, is not chained to it.
    raise complaint


def _inputs(found: dict[str, Any]) -> InputsBody:
    if _are_tokens(found.get("inputs")):
        raise TokensNotText(
            "inputs are token numbers, and these mean other words in every vocabulary. Send text.",
            param="inputs",
        )
    return validated(InputsBody, found)


def _are_tokens(value: object) -> bool:
    """Whether a list begins with a number, or with a list that does."""
    for _ in range(2):
        if not (isinstance(value, list) and value):
            return False
        value = value[0]
        if type(value) is int:
            return True
    return False


def _reason(error: orjson.JSONDecodeError, body: bytes) -> str:
    """What is wrong; raises MemoryError where that is not the body.

    orjson has one error for both. It says byte 0 of what isn't UTF-8, doesn't begin as JSON does,
    or takes more memory than there is.
    """
    if error.pos:
        return f" (at byte {error.pos})"
    try:
        body.decode()
    except UnicodeDecodeError:
        return " (in UTF-8)"
    if _OPENING.match(body):
        raise MemoryError
    return " (at byte 0)"


def _complaint(model: type[Body], error: ValidationError) -> RequestError:
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    name = str(first["loc"][0])
    described = model.model_fields[name].description
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return InvalidRequest(f"{name} is missing: it must be {described}.", param=name)
    return InvalidRequest(f"{name} must be {described}.", param=name)
