"""The README's front matter as the Hub reads it: what it decides, and what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COLOURS = ("blue", "gray", "green", "indigo", "pink", "purple", "red", "yellow")
_SDKS = ("docker", "gradio", "static")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_DURATION = re.compile(r"([1-9]\d{0,8})\s*([smh])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_MOST_REPEATED = 100_000
"""Characters that aliases may add to front matter: each of theirs may hold others."""
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
        data = _data(match[1])
    except _Unusable as error:
        return Card(errors=(str(error),))
    limit, errors = _start_limit(data), [*_sdk_errors(data), *_errors(data)]
    if limit is None:
        errors.append('"startup_duration_timeout" must be a duration such as 30m or 1h')
    return Card(
        data=data,
        sdk=data["sdk"] if data.get("sdk") in _SDKS else None,
        app_port=data["app_port"] if _is_port(data.get("app_port")) else DEFAULT_PORT,
        start_limit=limit if limit is not None else DEFAULT_START_LIMIT,
        title=str(data.get("title") or ""),
        errors=tuple(errors),
    )


def check_card(readme: str, *, space: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Errors and warnings of a README before it is committed, of a Space's or another's."""
    if space:
        return read_card(readme).errors, ()
    if _FRONT_MATTER.match(readme) is None:
        return (), ("empty or missing yaml metadata in repo card",)
    card = read_card(readme)
    # What only a Space must have is nobody else's mistake.
    return (tuple(_errors(card.data)) if card.data else card.errors), ()


class _Unusable(Exception):
    """Front matter of which nothing can be taken; says why."""


def _data(text: str) -> dict[str, Any]:
    """What front matter says, as replies show it; raises _Unusable."""
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 -- a safe one
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 2}" if where is not None else ""
        raise _Unusable(f"The YAML metadata cannot be parsed{line}") from error
    except RecursionError as error:
        raise _Unusable("The YAML metadata is nested too deeply") from error
    except (ValueError, LookupError, AttributeError) as error:
        # What PyYAML lets through: the 30th of February, a number of 5000 digits, `!!bool x`.
        raise _Unusable("The YAML metadata has a value that is none of its type") from error
    if not isinstance(data, dict):
        raise _Unusable("The YAML metadata must be a mapping")
    try:
        # YAML knows dates, mappings that hold themselves, and half characters.
        shown = json.dumps(data, default=str, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _Unusable("The YAML metadata cannot be written as JSON") from error
    return dict(json.loads(shown))


class _Loader(yaml.SafeLoader):
    """Counts what aliases repeat before anything is made of it."""

    def __init__(self, stream: str):
        super().__init__(stream)
        self._written = self._repeated = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As PyYAML's; an alias is as large as what it stands for, aliases in there included."""
        is_alias = self.check_event(yaml.AliasEvent)
        before = self._written + self._repeated
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if is_alias:
            # Without a size as yet it is within itself, which no JSON can be.
            self._repeated += self._sizes.get(node, 0)
            if self._repeated > _MOST_REPEATED:
                raise _Unusable("The YAML metadata repeats itself too often by aliases")
        else:
            self._written += 1 + len(node.value) if isinstance(node, yaml.ScalarNode) else 1
            self._sizes[node] = self._written + self._repeated - before
        return node


def _sdk_errors(data: dict[str, Any]) -> Iterator[str]:
    if data.get("sdk") not in _SDKS:
        yield f'"sdk" must be one of [{", ".join(_SDKS)}]'


def _errors(data: dict[str, Any]) -> Iterator[str]:
    for key, (fits, must) in _KEYS.items():
        if key in data and not fits(data[key]):
            yield f'"{key}" must be {must}'


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


_COLOUR = (_COLOURS.__contains__, f"one of [{', '.join(_COLOURS)}]")
_SWITCH = (lambda value: isinstance(value, bool), "true or false")
_STRINGS = (_is_strings, "a list of strings")
_KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "colorFrom": _COLOUR,
    "colorTo": _COLOUR,
    "header": (("default", "mini").__contains__, "one of [default, mini]"),
    "app_port": (_is_port, "a port number"),
    "base_path": (lambda value: str(value).startswith("/"), "a path that begins with /"),
    "short_description": (lambda value: len(str(value)) <= 60, "at most 60 characters"),  # noqa: PLR2004
    "pinned": _SWITCH,
    "fullWidth": _SWITCH,
    "disable_embedding": _SWITCH,
    "hf_oauth": _SWITCH,
    "tags": _STRINGS,
    "models": _STRINGS,
    "datasets": _STRINGS,
}
"""What a value must be, by its key: the documentation's reference of a Space's configuration."""
