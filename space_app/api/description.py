"""What /openapi.json says: bodies that the framework does not read, both shapes of errors, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic.json_schema import models_json_schema

from space_app.api import schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

    from space_app.core.manifest import Manifest

_REF = "#/components/schemas/{model}"
_MODELS = (
    schemas.EmbedBody,
    schemas.InputsBody,
    schemas.OpenAIBody,
    schemas.TokenizeBody,
    schemas.SimilarityBody,
    schemas.OneEmbedding,
    schemas.SeveralEmbeddings,
    schemas.OpenAIReply,
    schemas.OneToken,
    schemas.ModelList,
    schemas.Status,
    schemas.ErrorReply,
    schemas.TeiError,
)
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The key, where keys are on."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same, in front of a private Space, which takes Authorization itself.",
    },
}
_CL100K_NUMBERS = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": 100_255},
    "minItems": 1,
}
_ERRORS = {
    400: "The body is no JSON, or holds nothing to embed.",
    401: "No key, or a wrong one.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is declared as something that is no JSON.",
    422: "A field is missing, wrong or beyond a limit.",
    429: "Too much work waits, or large requests fill the memory set aside for them.",
    500: "The server failed, or the model has no usable vector of a text.",
    503: "The server is being stopped, short of memory, or computes no usable vectors any more.",
}


def _ref(model: type[object]) -> dict[str, Any]:
    """Where a schema is described."""
    return {"$ref": _REF.format(model=model.__name__)}


def _content(schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": schema}}


def _answer(words: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": words, "content": _content(schema)}


def _header(words: str, kind: str, *, required: bool) -> dict[str, Any]:
    return {"description": words, "required": required, "schema": {"type": kind}}


_VECTOR_HEADERS = {
    "x-embedding-fingerprint": _header(
        "Which vectors these can be compared with.", "string", required=True
    ),
    "x-embedding-truncated": _header(
        "Which texts were cut, counted from 0.", "string", required=False
    ),
}
_RETRY = {
    "Retry-After": _header("Seconds until it is worth another try.", "integer", required=True)
}

_NUMBERS = {"type": "array", "items": {"type": "number"}}
_VECTORS = {"type": "array", "items": _NUMBERS}
_TOKENS = {"type": "array", "items": {"type": "array", "items": _ref(schemas.OneToken)}}
_OPENAI_ERROR = _ref(schemas.ErrorReply)
_TEI_ERROR = _ref(schemas.TeiError)


def _posted(
    body: dict[str, Any], reply: dict[str, Any], error: dict[str, Any], *, vectors: bool = True
) -> dict[str, Any]:
    """What a route says that reads a body; for the framework's `add_api_route`."""
    done = _answer("Done.", reply)
    if vectors:
        done["headers"] = _VECTOR_HEADERS
    responses = {status: _answer(words, error) for status, words in _ERRORS.items()}
    responses[429]["headers"] = responses[503]["headers"] = _RETRY
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": _content(body)}},
        "responses": {200: done, **responses},
    }


def _got(reply: dict[str, Any], *statuses: int) -> dict[str, Any]:
    """What a route says that only answers."""
    errors = {status: _answer(_ERRORS[status], _OPENAI_ERROR) for status in statuses}
    return {"responses": {200: _answer("Done.", reply), **errors}}


EMBED = _posted(
    {
        "oneOf": [
            {"allOf": [_ref(schemas.EmbedBody), {"not": {"required": ["inputs"]}}]},
            {"allOf": [_ref(schemas.InputsBody), {"not": {"required": ["text"]}}]},
        ]
    },
    {"oneOf": [_ref(schemas.OneEmbedding), _ref(schemas.SeveralEmbeddings), _VECTORS]},
    {"oneOf": [_OPENAI_ERROR, _TEI_ERROR]},
)
INPUTS = _posted(
    {"oneOf": [_ref(schemas.InputsBody), _ref(schemas.SimilarityBody)]},
    {"anyOf": [_VECTORS, _NUMBERS]},
    _TEI_ERROR,
)
SIMILARITY = _posted(_ref(schemas.SimilarityBody), _NUMBERS, _TEI_ERROR)
TOKENIZE = _posted(_ref(schemas.TokenizeBody), _TOKENS, _TEI_ERROR, vectors=False)
OPENAI = _posted(_ref(schemas.OpenAIBody), _ref(schemas.OpenAIReply), _OPENAI_ERROR)
MODELS = _got(_ref(schemas.ModelList), 401)
INFO = _got({"type": "object"}, 401)
METRICS = {"response_class": PlainTextResponse, "responses": {401: INFO["responses"][401]}}
PAGE = {"response_class": HTMLResponse}
HEALTH = _got(_ref(schemas.Status))
HEALTH["responses"][503] = _answer(_ERRORS[503], _ref(schemas.Status))
LIVEZ = _got(_ref(schemas.Status))


def describe(
    app: FastAPI, manifest: Manifest, *, max_inputs: int, keyed: bool, cl100k: bool
) -> None:
    """Have the app tell its schemas, limits and keys; made when it is first asked for."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generated()
            components = document.setdefault("components", {})
            components["schemas"] = _schemas(manifest, max_inputs=max_inputs, cl100k=cl100k)
            if keyed:
                components["securitySchemes"] = _SECURITY
                for operation in _operations(document):
                    if "401" in operation["responses"]:
                        operation["security"] = [{name: []} for name in _SECURITY]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _schemas(manifest: Manifest, *, max_inputs: int, cl100k: bool) -> dict[str, Any]:
    """The models' schemas, with this server's limits in them."""
    _, described = models_json_schema(
        [(model, "validation") for model in _MODELS], ref_template=_REF
    )
    found: dict[str, Any] = described["$defs"]
    for model, field in (("EmbedBody", "text"), ("InputsBody", "inputs"), ("OpenAIBody", "input")):
        properties = found[model]["properties"]
        properties["dimensions"]["anyOf"][0]["maximum"] = manifest.dimensions
        properties[field]["oneOf"][1]["maxItems"] = max_inputs
    found["TokenizeBody"]["properties"]["inputs"]["oneOf"][1]["maxItems"] = max_inputs
    found["Sentences"]["properties"]["sentences"]["maxItems"] = max_inputs - 1
    if cl100k:
        several = {"type": "array", "items": _CL100K_NUMBERS, "minItems": 1, "maxItems": max_inputs}
        found["OpenAIBody"]["properties"]["input"]["oneOf"] += [_CL100K_NUMBERS, several]
    return found
