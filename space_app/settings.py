"""The server's settings: one frozen object, and the only reader of the environment."""

from __future__ import annotations

import difflib
import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from space_app.core.errors import SettingsError
from space_app.core.types import Role
from space_app.cpus import available_cpus

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOG_LEVELS = ("debug", "info", "warning", "error")
_LOG_FORMATS = ("text", "json")
_NAMES = (
    "EMBED_API_KEYS",
    "EMBED_CACHE_MB",
    "EMBED_CL100K_FILE",
    "EMBED_CORS_ORIGINS",
    "EMBED_DEFAULT_INPUT_TYPE",
    "EMBED_LOG_FORMAT",
    "EMBED_LOG_LEVEL",
    "EMBED_MAX_INPUTS",
    "EMBED_MAX_PAYLOAD_MB",
    "EMBED_MAX_WAIT_SECONDS",
    "EMBED_MODEL_DIR",
    "EMBED_THREADS",
)
_KEY = re.compile(r"[!-~]+")
"""Printable ASCII without spaces: what survives every client's way of sending a header."""

_MOST_DIGITS = 20
_MOST_SHOWN = 200

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s*@?#]+")
"""As browsers send it: scheme, host and port, no path."""


@dataclass(frozen=True)
class ApiKey:
    """A key that opens the server; the name is for people, and may be shown."""

    name: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """How to serve. Without `api_keys` the server is open to everybody who reaches it."""

    model_dir: Path
    api_keys: tuple[ApiKey, ...] = ()
    max_payload_mb: int = 10
    max_inputs: int = 2048
    max_wait_seconds: int = 30
    cache_mb: int = 16
    threads: int = 1
    log_level: str = "info"
    log_format: str = "text"
    default_input_type: Role = Role.DOCUMENT
    """What texts are on OpenAI's routes when a request does not say."""
    cors_origins: tuple[str, ...] = ()
    """Pages of these origins may ask; "*" is any."""
    cl100k_file: Path | None = None
    """OpenAI's vocabulary, to read token numbers by; None refuses them."""
    tracing: str = ""
    """The protocol by which OpenTelemetry's standard variables ask for traces; empty: they do not.
    The SDK reads the rest of them."""
    host: str = "0.0.0.0"  # noqa: S104 -- a Space's proxy comes from outside the container
    port: int = 7860

    @property
    def max_payload_bytes(self) -> int:
        """Largest body of a request."""
        return self.max_payload_mb * 1024 * 1024

    @property
    def cache_bytes(self) -> int:
        """Size of the cache of recent vectors; 0 is none."""
        return self.cache_mb * 1024 * 1024

    @property
    def log_level_number(self) -> int:
        """The level as the logging module counts it."""
        return logging.getLevelNamesMapping()[self.log_level.upper()]


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read EMBED_…, HOST and PORT.

    Raises:
        SettingsError: a variable is missing, misspelt or wrong; it is named, its value is shown
            unless it may hold a secret.
    """
    _no_misspelling(environment)
    read = _Reader(environment)
    return Settings(
        model_dir=read.folder("EMBED_MODEL_DIR"),
        api_keys=_api_keys(environment.get("EMBED_API_KEYS")),
        max_payload_mb=read.number("EMBED_MAX_PAYLOAD_MB", 10, least=1, most=1024),
        max_inputs=read.number("EMBED_MAX_INPUTS", 2048, least=1, most=1_000_000),
        max_wait_seconds=read.number("EMBED_MAX_WAIT_SECONDS", 30, least=1, most=3600),
        cache_mb=read.number("EMBED_CACHE_MB", 16, least=0, most=65_536),
        threads=read.number("EMBED_THREADS", available_cpus(), least=1, most=1024),
        log_level=read.choice("EMBED_LOG_LEVEL", "info", _LOG_LEVELS),
        log_format=read.choice("EMBED_LOG_FORMAT", "text", _LOG_FORMATS),
        default_input_type=Role(
            read.choice("EMBED_DEFAULT_INPUT_TYPE", Role.DOCUMENT, tuple(Role))
        ),
        cors_origins=_origins(environment.get("EMBED_CORS_ORIGINS", "")),
        cl100k_file=read.file("EMBED_CL100K_FILE"),
        tracing=_tracing(environment),
        host=environment.get("HOST") or Settings.host,
        port=read.number("PORT", 7860, least=0, most=65535),
    )


def _origins(text: str) -> tuple[str, ...]:
    """Origins, separated by comma or white space; or "*"."""
    origins = tuple(origin.lower() for origin in re.split(r"[,\s]+", text) if origin)
    if origins == ("*",):
        return origins
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise SettingsError(
                f"EMBED_CORS_ORIGINS: {origin!r} is not an origin.",
                cause="An origin is like https://app.example or http://localhost:3000: no path, "
                "no slash at the end; * alone is any.",
            )
    return origins


def _tracing(environment: Mapping[str, str]) -> str:
    """Where a collector is named, and nothing turns it off."""

    def otlp(name: str) -> str:
        of_traces = environment.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}", "").strip()
        return of_traces or environment.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()

    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    none = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    if not otlp("ENDPOINT") or off or none:
        return ""
    return otlp("PROTOCOL") or "http/protobuf"


class _Reader:
    """Reads values that are no secret; an empty one counts as not set."""

    def __init__(self, environment: Mapping[str, str]):
        self._environment = environment

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self._environment.get(name, "").strip()
        if not text:
            return default
        # Python converts no number of thousands of digits.
        short = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
        if not short or not least <= int(text) <= most:
            shown = _shown(text)
            raise SettingsError(f"{name} is {shown}, not a whole number from {least} to {most}.")
        return int(text)

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        text = self._environment.get(name, "").strip().lower() or default
        if text not in choices:
            raise SettingsError(f"{name} is {_shown(text)}, not one of {', '.join(choices)}.")
        return text

    def file(self, name: str) -> Path | None:
        text = self._environment.get(name, "")
        if not text:
            return None
        if not os.path.isfile(text):  # noqa: PTH113 -- Path's raises where a name is too long
            raise SettingsError(f"{name} is {_shown(text)}, and there is no such file.")
        return Path(text)

    def folder(self, name: str) -> Path:
        text = self._environment.get(name, "")
        if not text:
            raise SettingsError(
                f"{name} is not set.",
                next_step="Name the folder that `python -m space_app.export MODEL OUT` made.",
            )
        if not os.path.isdir(text):  # noqa: PTH112 -- Path's raises where a name is too long
            raise SettingsError(f"{name} is {_shown(text)}, and there is no such folder.")
        return Path(text)


def _shown(value: str) -> str:
    return repr(value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}…")


def _api_keys(text: str | None) -> tuple[ApiKey, ...]:
    """`name=key` or bare keys, separated by comma or newline."""
    if text is None:
        return ()
    entries = [entry.strip() for entry in re.split(r"[,\n]", text)]
    keys = tuple(_api_key(number, entry) for number, entry in enumerate(entries, 1) if entry)
    if not keys:
        raise SettingsError(
            "EMBED_API_KEYS is set but holds no key.",
            next_step="Unset it to serve without keys.",
        )
    if len({key.name for key in keys}) < len(keys):
        raise SettingsError("EMBED_API_KEYS uses the same name for two keys.")
    return keys


def _api_key(number: int, entry: str) -> ApiKey:
    name, equals, key = entry.partition("=")
    if not equals:
        name, key = f"key {number}", entry
    name, key = name.strip(), key.strip()
    # It stands in logs and metrics, which are UTF-8.
    if not name.isprintable():
        raise SettingsError(f"EMBED_API_KEYS: the name of entry {number} is not printable.")
    # `=` would leave open where the name ends and the key begins.
    if not _KEY.fullmatch(key) or "=" in key:
        raise SettingsError(
            f"EMBED_API_KEYS: entry {number} is not a key.",
            cause="A key is `name=key` or bare, of printable ASCII without spaces, commas and `=`.",
        )
    return ApiKey(name, key)


def _no_misspelling(environment: Mapping[str, str]) -> None:
    """EMBED_API_KEY for EMBED_API_KEYS would leave the server open without a word."""
    for name in sorted(environment):
        if name.startswith("EMBED_") and name not in _NAMES:
            meant = difflib.get_close_matches(name, _NAMES, n=1, cutoff=0.85)
            if meant:
                raise SettingsError(f"{name} is not a setting: did you mean {meant[0]}?")
