"""What a Space should be: every key of space.toml, its type, its default and its rule."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

DEFAULT_MODEL = "BAAI/bge-base-en-v1.5"
_BGE_QUERY_INSTRUCTION = "Represent this sentence for searching relevant passages: "
_KNOWN_MODELS: dict[str, dict[str, str]] = {
    DEFAULT_MODEL: {
        "revision": "a5beb1e3e68b9ab74eb54cfd186867f64f240e1a",
        # FlagOpen/FlagEmbedding, research/baai_general_embedding/README.md: queries only, the
        # trailing space included.
        "query_instruction": _BGE_QUERY_INSTRUCTION,
        "document_instruction": "",
    },
}
"""What is filled in for a model that names no revision or instruction of its own."""

Colour = Literal["red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"]
Visibility = Literal["private", "protected", "public"]
HeaderPolicy = Literal[
    "cross-origin-embedder-policy", "cross-origin-opener-policy", "cross-origin-resource-policy"
]

_NAME = r"^[a-zA-Z][_a-zA-Z0-9]*$"
"""Names of variables and secrets, as the Hub's OpenAPI description has them."""

FREE_HARDWARE = "cpu-basic"
"""The flavour whose sleep time is fixed, and for which a Docker Space needs a paid plan."""

API_KEYS = "EMBED_API_KEYS"
"""The app's own keys, as the server reads them."""

NEVER_PUBLIC = frozenset({API_KEYS})
"""Names whose values are secret, so that no variable may have them."""

_REPO_ID = r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,95}/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$"
_DURATION = r"^[1-9]\d*(s|m|h)$"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._:\[\]-]+")


def is_name(text: str) -> bool:
    """Whether a variable or a secret may be called so."""
    return re.fullmatch(_NAME.strip("^$"), text) is not None


def _one_line(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", value):
        msg = "must be a single line without control characters"
        raise ValueError(msg)
    return value


def holds_token(value: str) -> bool:
    """Whether a text has something in it that looks like a Hugging Face token."""
    return re.search(r"\bhf_[A-Za-z0-9]{20,}", value) is not None


def _no_token(value: str) -> str:
    if holds_token(value):
        msg = "looks like a Hugging Face token, and this is public: refer to it from [secrets]"
        raise ValueError(msg)
    return value


def _origin(value: str) -> str:
    if value != "*" and not _ORIGIN.fullmatch(value):
        msg = 'must be an origin as browsers send it, such as "https://app.example", or "*"'
        raise ValueError(msg)
    return value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


_ONE_LINE = AfterValidator(_one_line)
"""Comes after a Field's limits, so that their messages speak of characters."""

Line = Annotated[str, _ONE_LINE]
Public = Annotated[str, AfterValidator(_no_token)]
Name = Annotated[str, Field(pattern=_NAME)]
ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Space(_Section):
    """The repository on the Hub: its name, its hardware, and its README's front matter."""

    repo_id: Annotated[str, Field(pattern=_REPO_ID)] = Field(
        description='"owner/name", or "name" for a Space of the token\'s owner.'
    )
    visibility: Visibility = Field(
        "private", description="protected: the source is private, the app is public."
    )
    hardware: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = Field(
        FREE_HARDWARE, description="A flavour of the Hub; cpu-basic is 2 vCPU and 16 GB."
    )
    sleep_time: Annotated[int, Field(ge=-1)] | None = Field(
        None, description="Seconds without a request before it sleeps, -1 for never; paid hardware."
    )
    title: Annotated[str, Field(min_length=1), _ONE_LINE] = Field(
        "Embedding API", description="Its title."
    )
    emoji: Annotated[str, Field(min_length=1, max_length=16), _ONE_LINE] = Field(
        "🧭", description="Shown on its card."
    )
    color_from: Colour = Field("indigo", description="Left colour of its card.")
    color_to: Colour = Field("blue", description="Right colour of its card.")
    license: Line = Field("apache-2.0", description="Licence of the Space's files.")
    short_description: Annotated[str, Field(max_length=60), _ONE_LINE] = Field(
        "Text embeddings over HTTP, OpenAI-compatible", description="At most 60 characters."
    )
    tags: tuple[Line, ...] = Field(("embeddings",), description="Tags of the Space.")
    models: tuple[ModelId, ...] | None = Field(
        None, description="Models it shows; by default the one it serves."
    )
    datasets: tuple[ModelId, ...] = Field((), description="Datasets it shows.")
    thumbnail: Line | None = Field(None, description="URL of a picture for social sharing.")
    pinned: bool = Field(default=False, description="Pinned on the owner's profile.")
    app_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        7860, description="Port the server listens on."
    )
    base_path: Annotated[str, Field(pattern="^/"), _ONE_LINE] | None = Field(
        None, description="Path that the Space's page opens."
    )
    full_width: bool = Field(default=True, description="The page fills the window's width.")
    header: Literal["default", "mini"] = Field("default", description="The Hub's header above it.")
    not_secret: tuple[Line, ...] = Field(
        (),
        description="Files of the Space and variables (`variables.NAME`) that look as if they held "
        "a secret, and hold none.",
    )
    disable_embedding: bool = Field(
        default=False, description="Refuse to be shown in other sites' frames."
    )
    startup_duration_timeout: Annotated[str, Field(pattern=_DURATION)] | None = Field(
        None, description='How long a start may take, such as "45m" or "1h"; the Hub allows 30m.'
    )
    custom_headers: dict[HeaderPolicy, Line] = Field(
        default_factory=dict, description="COEP, COOP and CORP headers."
    )
    preload_from_hub: tuple[Line, ...] = Field(
        (), description='Public repositories to put in the image: "repo [files] [revision]".'
    )
    hf_oauth: bool = Field(default=False, description="Ask the Hub for an OAuth app.")
    hf_oauth_scopes: tuple[Line, ...] = Field((), description="OAuth scopes to ask for.")
    hf_oauth_expiration_minutes: Annotated[int, Field(ge=1, le=43200)] | None = Field(
        None, description="Life of an OAuth token, 480 by default."
    )
    hf_oauth_authorized_org: Annotated[
        tuple[Line, ...], BeforeValidator(_listed, json_schema_input_type=str | tuple[str, ...])
    ] = Field((), description="Only members of this organisation, or these, may log in.")

    @model_validator(mode="after")
    def _sleep_needs_paid_hardware(self) -> Space:
        if self.sleep_time is not None and self.hardware == FREE_HARDWARE:
            msg = "sleep_time is fixed to 48 hours on cpu-basic: remove it or choose paid hardware"
            raise ValueError(msg)
        return self


class Model(_Section):
    """The model that is baked into the image."""

    id: ModelId = Field(DEFAULT_MODEL, description="A sentence-transformers model on the Hub.")
    revision: Annotated[str, Field(min_length=1), _ONE_LINE] = Field(
        "main", description="Branch, tag or commit; a build pins the commit that it names then."
    )
    backend: Literal["openvino", "torch"] = Field(
        "openvino", description="What computes the vectors; torch is the slow reference."
    )
    precision: Literal["int8", "bf16", "fp32"] = Field(
        "int8",
        description="Arithmetic of the vectors; a safer one is taken where a model needs it. "
        "torch has fp32 only.",
    )
    query_instruction: str | None = Field(
        None,
        description="Put before queries, and only before queries; by default the model's own "
        'prompt for them. `""` is none.',
    )
    document_instruction: str | None = Field(
        None, description="Put before documents; by default the model's own prompt for them."
    )
    max_length: Annotated[int, Field(ge=8, le=8192)] | None = Field(
        None, description="Longest input in tokens, at most what the model takes."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_known(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        model = data.get("id", DEFAULT_MODEL)
        known = _KNOWN_MODELS.get(model, {}) if isinstance(model, str) else {}
        exact = {"precision": "fp32"} if data.get("backend") == "torch" else {}
        return {**known, **exact, **data}

    @model_validator(mode="after")
    def _torch_is_exact(self) -> Model:
        if self.backend == "torch" and self.precision != "fp32":
            msg = f"precision is {self.precision}, but the backend torch has fp32 only"
            raise ValueError(msg)
        return self


class Server(_Section):
    """Limits and habits of the server."""

    max_payload_mb: Annotated[int, Field(ge=1, le=10)] = Field(
        10, description="Largest request; the Hub's proxy takes 10 MB at most."
    )
    max_inputs: Annotated[int, Field(ge=1, le=100_000)] = Field(
        2048, description="Most texts in one request."
    )
    max_wait_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        30,
        description="Seconds in which an admitted request is answered; others get 429 and "
        "Retry-After. A request that needs more than half of that alone gets twice what it needs.",
    )
    cache_mb: Annotated[int, Field(ge=0, le=65536)] = Field(
        16, description="Memory for vectors of recent texts; 0 keeps none."
    )
    threads: Annotated[int, Field(ge=1, le=256)] | None = Field(
        None, description="Compute threads; by default what the container may use."
    )
    default_input_type: Literal["document", "query"] = Field(
        "document",
        description="What OpenAI's routes take texts as when neither `input_type` nor the model's "
        "name says.",
    )
    cors_origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(
        (), description='Sites whose pages may call the server, or "*" for every site.'
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="Log lines for machines or for people."
    )

    @field_validator("cors_origins")
    @classmethod
    def _every_site_or_some(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in origins and len(origins) > 1:
            msg = '"*" stands for every site: leave the others out, or leave it out'
            raise ValueError(msg)
        return origins


class ImageBuild(_Section):
    """How the image is built."""

    base: Annotated[str, Field(pattern=r"^[A-Za-z0-9_./:@-]+$")] = Field(
        "python:3.11-slim",
        description="Base image of both stages; Python 3.11 with venv and pip. NAME@sha256:DIGEST "
        "is always the same one.",
    )
    torch_index: Line = Field(
        "https://download.pytorch.org/whl/cpu",
        description="Where the builder stage finds PyTorch's CPU build.",
    )
    build_args: dict[Name, Annotated[Line, AfterValidator(_no_token)]] = Field(
        default_factory=dict,
        description="More ARGs of the builder stage, with their values; never a secret.",
    )
    cl100k: bool = Field(
        default=False,
        description="Put OpenAI's vocabulary cl100k_base into the image, for clients that send "
        "tokens of it.",
    )

    @field_validator("build_args")
    @classmethod
    def _torch_index_has_its_key(cls, build_args: dict[str, str]) -> dict[str, str]:
        if "TORCH_INDEX" in build_args:
            msg = "TORCH_INDEX has a key of its own: image.torch_index"
            raise ValueError(msg)
        return build_args


class SecretSource(_Section):
    """Where a secret's value comes from; the value itself is never in the file."""

    env: Name | None = Field(None, description="An environment variable of the machine.")
    file: Annotated[str, Field(min_length=1), _ONE_LINE] | None = Field(
        None, description="A file, relative to space.toml; its last newline is dropped."
    )
    prompt: Literal[True] | None = Field(None, description="Asked for on the terminal.")

    @model_validator(mode="before")
    @classmethod
    def _no_value(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            msg = 'a secret\'s value does not belong here; say where it is: { env = "NAME" }'
            raise ValueError(msg)  # noqa: TRY004 -- pydantic collects ValueErrors
        return data

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretSource:
        if sum(source is not None for source in (self.env, self.file, self.prompt)) != 1:
            msg = "name exactly one of env, file and prompt"
            raise ValueError(msg)
        return self


class Config(_Section):
    """One Space, as space.toml and the chosen environment describe it."""

    space: Space
    model: Model = Field(default_factory=lambda: Model.model_validate({}))
    server: Server = Server()
    image: ImageBuild = ImageBuild()
    variables: dict[Name, Public] = Field(
        default_factory=dict, description="Public environment of the Space."
    )
    secrets: dict[Name, SecretSource] = Field(
        default_factory=dict, description="Secret environment of the Space, by reference."
    )

    @field_validator("variables")
    @classmethod
    def _keys_are_secret(cls, variables: dict[str, str]) -> dict[str, str]:
        if names := sorted(NEVER_PUBLIC & variables.keys()):
            msg = f"{', '.join(names)} would be public here: refer to it from [secrets]"
            raise ValueError(msg)
        return variables

    @field_validator("secrets")
    @classmethod
    def _no_name_twice(cls, secrets: dict[str, Any], info: Any) -> dict[str, Any]:
        if both := sorted(secrets.keys() & info.data.get("variables", {}).keys()):
            msg = f"{', '.join(both)}: also in [variables]; the Hub refuses a name used for both"
            raise ValueError(msg)
        return secrets
