"""The README's front matter as the Hub reads it: what it decides, and what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLOURS = frozenset({"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"})
_SDKS = frozenset({"docker", "gradio", "static"})
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_DURATION = re.compile(r"([1-9]\d*)\s*([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
DEFAULT_PORT = 7860
DEFAULT_START_LIMIT = 30 * 60.0


@dataclass(frozen=True)
class Card:
    """What a Space's README says of it; `start_limit` in seconds. `data` is all of it."""

    data: dict[str, Any] = field(default_factory=dict)
    sdk: str | None = None
    app_port: int = DEFAULT_PORT
    start_limit: float = DEFAULT_START_LIMIT
    title: str = ""
    errors: tuple[str, ...] = ()


def read_card(readme: str) -> Card:
    """Read a README; errors are in the card, in the Hub's manner of naming the key."""
    match = _FRONT_MATTER.match(readme)
    if match is None:
        return Card(errors=("Missing configuration in README",))
    try:
        data = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 2}" if where is not None else ""
        return Card(errors=(f"The YAML metadata cannot be parsed{line}",))
    if not isinstance(data, dict):
        return Card(errors=("The YAML metadata must be a mapping",))
    limit, errors = _start_limit(data), list(_errors(data))
    if limit is None:
        errors.append('"startup_duration_timeout" must be a duration such as 30m or 1h')
    return Card(
        data=data,
        sdk=data["sdk"] if data.get("sdk") in _SDKS else None,
        app_port=data["app_port"] if _is_port(data.get("app_port")) else DEFAULT_PORT,
        start_limit=limit if limit is not None else DEFAULT_START_LIMIT,
        title=str(data.get("title", "")),
        errors=tuple(errors),
    )


def _errors(data: dict[str, Any]) -> Iterator[str]:
    if data.get("sdk") not in _SDKS:
        yield f'"sdk" must be one of [{", ".join(sorted(_SDKS))}]'
    for key in ("colorFrom", "colorTo"):
        if key in data and data[key] not in _COLOURS:
            yield f'"{key}" must be one of [{", ".join(sorted(_COLOURS))}]'
    if "app_port" in data and not _is_port(data["app_port"]):
        yield '"app_port" must be a port number'
    for key in ("tags", "models", "datasets"):
        if key in data and not _is_strings(data[key]):
            yield f'"{key}" must be a list of strings'


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**16


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _start_limit(data: dict[str, Any]) -> float | None:
    value = data.get("startup_duration_timeout")
    if value is None:
        return DEFAULT_START_LIMIT
    match = _DURATION.fullmatch(str(value))
    return float(int(match[1]) * _SECONDS[match[2]]) if match else None
