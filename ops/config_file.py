"""Reads space.toml: the file, one of its environments, and errors that name the key."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ops.bounded_read import read_file
from ops.config import Config, holds_token
from ops.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails


_IN_TOML = {"tuple_type": "should be an array", "dict_type": "should be a table"}
"""What a reader of TOML calls the types of Python that pydantic's messages name."""


def load(path: Path, environment: str | None = None) -> Config:
    """Read a space.toml, with the overrides of one of its environments.

    Raises:
        ConfigError: no such file or environment, not TOML, or any key or value that is wrong; all
            of them are named at once.
    """
    return parse(read(path), path, environment)


def parse(text: str, path: Path, environment: str | None = None) -> Config:
    """What `load` does, for a text that is to be the file at `path`."""
    data = parse_toml(text, path)
    environments = data.pop("environments", {})
    if not isinstance(environments, dict) or not all(
        isinstance(entry, dict) for entry in environments.values()
    ):
        raise ConfigError(
            f"{path}: environments must be tables: [environments.staging.space].",
            next_step="`ops config schema` shows what belongs in them.",
        )
    if environment is not None:
        if environment not in environments:
            known = ", ".join(sorted(environments)) or "none"
            raise ConfigError(
                f"{path} has no environment {environment!r}.",
                cause=f"Environments it has: {known}.",
                next_step=f"Add a table such as [environments.{environment}.space].",
            )
        data = _overridden(data, environments[environment])
    return _validated(data, path, environment)


def environments(path: Path) -> tuple[str, ...]:
    """Names of the environments of a space.toml, in its order."""
    return environments_in(read(path), path)


def environments_in(text: str, path: Path) -> tuple[str, ...]:
    """The same for a text that is to be the file at `path`."""
    found = parse_toml(text, path).get("environments", {})
    return tuple(found) if isinstance(found, dict) else ()


def read(path: Path) -> str:
    """The text of a space.toml, its line ends as they are.

    Raises:
        ConfigError: there is no such file, or it is no text.
    """
    try:
        return read_file(path).decode()
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no {path}.",
            cause="ops reads what the Space should be from this file.",
            next_step="ops init, or name another file with --config.",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.",
            next_step="Make it readable, or name another file with --config.",
        ) from error
    except UnicodeDecodeError:
        pass
    # Raised outside the handler: a decoding error carries the file, and what is secret in it.
    raise ConfigError(f"{path} is not UTF-8 text.", next_step="Save it as UTF-8.")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of space.toml, for editors."""
    schema = Config.model_json_schema()
    override = {
        key: ({**value, "$ref": "#/$defs/SpaceOverride"} if key == "space" else value)
        for key, value in schema["properties"].items()
    }
    schema["$defs"]["SpaceOverride"] = {
        **{k: v for k, v in schema["$defs"]["Space"].items() if k != "required"},
        "title": "SpaceOverride",
    }
    schema["properties"]["environments"] = {
        "type": "object",
        "description": "Overrides of any key above, chosen by `ops --env NAME`.",
        "additionalProperties": {
            "type": "object",
            "properties": override,
            "additionalProperties": False,
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "space.toml",
    }


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The data of a text that is to be the file at `path`; raises ConfigError if it isn't TOML."""
    if text.startswith("\ufeff"):
        raise ConfigError(
            f"{path} begins with a byte-order mark, which TOML has not.",
            cause="Editors of Windows put one there, where nobody sees it.",
            next_step='Save it as "UTF-8", not as "UTF-8 with BOM".',
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = f"is not valid TOML: {error}"
    # Raised outside the handler: a decoding error carries the file, and what is secret in it.
    raise ConfigError(f"{path} {problem}.", next_step="Correct it at that place.")


def _overridden(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Base with the override's keys in the place of its own, section by section."""
    return base | {
        section: base[section] | keys
        if isinstance(keys, dict) and isinstance(base.get(section), dict)
        else keys
        for section, keys in override.items()
    }


def _validated(data: dict[str, Any], path: Path, environment: str | None) -> Config:
    try:
        # Strict would refuse TOML's arrays for tuples, so collections are read as JSON reads them.
        return Config.model_validate(_tuples(data))
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False)]
    where = f"{path} (environment {environment})" if environment else str(path)
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    # Raised outside the handler: pydantic's own text would show the values, secrets among them.
    raise ConfigError(
        f"{where} has {count}:\n" + "\n".join(f"  {problem}" for problem in problems),
        next_step="Correct it; `ops config schema` lists every key.",
    )


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value


def _problem(item: ErrorDetails) -> str:
    parts = [str(part) for part in item["loc"] if part != "[key]"]
    key = ".".join(parts)
    kind = "dict_type" if item["type"] == "model_type" else item["type"]
    message = _IN_TOML.get(kind, item["msg"].removeprefix("Value error, "))
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if item["type"] == "missing":
        return f"{key}: missing"
    if parts and parts[0] == "secrets":
        return f"{key}: {message}"
    shown = repr(item["input"])
    long = len(shown) > 60  # noqa: PLR2004 -- a line's worth
    if item["type"] == "value_error" or long or holds_token(shown):
        return f"{key}: {message}"
    return f"{key} = {shown}: {message}"
