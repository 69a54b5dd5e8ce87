"""Faults as people write them: `status 429 retry-after=2 times=3 POST /api/spaces/*/commit/*`.

The action comes first, then words in any order: a METHOD, a /path/pattern, an owner/name, and
name=value for what this action knows.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from ops.hub.faults import (
    REQUEST_ACTIONS,
    SPACE_ACTIONS,
    Action,
    Fault,
    Origin,
    When,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
_REPO_ID = re.compile(r"[^\s/=]+/[^\s/=]+")
_ALWAYS = "always"


class FaultTextError(ValueError):
    """A fault that cannot be read; its text names the word, and what could stand there."""


class _Word(NamedTuple):
    """How a value of `name=value` is read, and what it may be."""

    field: str
    read: Callable[[str], Any]
    form: str


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text):
        raise ValueError(text)
    return float(text)


def _times(text: str) -> int | None:
    count = None if text == _ALWAYS else _count(text)
    if count == 0:
        raise ValueError(text)
    return count


def _status(text: str) -> int:
    if not re.fullmatch(r"[45][0-9]{2}", text):
        raise ValueError(text)
    return int(text)


def _one_of(known: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(text)
        return text

    return read


_WHENS, _ORIGINS = get_args(When), get_args(Origin)
_NUMBER = "a whole number"
_ALL = {
    "skip": _Word("skip", _count, _NUMBER),
    "times": _Word("times", _times, f"a whole number from 1, or {_ALWAYS}"),
}
_OF_REQUESTS = _ALL | {"origin": _Word("origin", _one_of(_ORIGINS), " or ".join(_ORIGINS))}
_A_WHEN = _Word("when", _one_of(_WHENS), ", ".join(_WHENS))
_OF_LOST_REPLIES = _OF_REQUESTS | {"when": _A_WHEN, "bytes": _Word("after", _count, _NUMBER)}
_A_TIME = _Word("seconds", _seconds, "a number of seconds")
_WORDS: dict[Action, dict[str, _Word]] = {
    "delay": _OF_REQUESTS | {"seconds": _A_TIME},
    "status": _OF_REQUESTS
    | {
        "retry-after": _Word("retry_after", _count, "a number of seconds"),
        "ratelimit": _Word("rate_limit", _count, "a number of seconds"),
    },
    "cut": _OF_LOST_REPLIES,
    "hang": _OF_LOST_REPLIES,
    "outage": _OF_REQUESTS | {"when": _A_WHEN},
    "conflict": _ALL,
    "pause": _ALL,
    "sleep": _ALL,
    "commit": _ALL,
    "revoke": _OF_REQUESTS,
    "fail-build": _ALL | {"step": _Word("step", _count, _NUMBER)},
    "slow-build": _ALL | {"seconds": _A_TIME},
    "hang-start": _ALL,
    "crash": _ALL | {"after": _Word("after", _count, _NUMBER)},
}


def parse(text: str) -> Fault:
    """A fault from its text; raises FaultTextError."""
    action, *words = text.split() or [""]
    if action not in _WORDS:
        raise _unknown(action, "an action", (*REQUEST_ACTIONS, *SPACE_ACTIONS))
    values: dict[str, Any] = {}
    for position, word in enumerate(words):
        name, value = _read(action, word, is_first=position == 0)
        if name in values:
            raise FaultTextError(f"{word!r} is said twice")
        values[name] = value
    if action == "status" and "status" not in values:
        raise FaultTextError("status needs its number, such as: status 503")
    return Fault(action, **values)


def render(fault: Fault) -> str:
    """The text that reads as this fault."""
    parts: list[str] = [fault.action]
    if fault.action == "status":
        parts.append(str(fault.status))
    standard = {f.name: f.default for f in fields(Fault) if f.name != "action"}
    for name, word in _WORDS[fault.action].items():
        value = getattr(fault, word.field)
        if value != standard[word.field]:
            parts.append(f"{name}={_ALWAYS if value is None else _plain(value)}")
    path = "" if fault.path == "*" else fault.path
    parts.extend(filter(None, (fault.method, fault.repo_id, path)))
    return " ".join(parts)


def _read(action: Action, word: str, *, is_first: bool) -> tuple[str, Any]:
    """The field that a word sets, and its value."""
    name, separator, value = word.partition("=")
    if word.startswith("/") and action in REQUEST_ACTIONS:
        return "path", word
    if separator:
        return _named(action, name, value)
    if action == "status" and is_first:
        return "status", _value(_Word("status", _status, "a status from 400 to 599"), word, word)
    if word in _METHODS and action in REQUEST_ACTIONS:
        return "method", word
    if _REPO_ID.fullmatch(word):
        return "repo_id", word
    requests = ("a METHOD", "a /path/pattern") if action in REQUEST_ACTIONS else ()
    names = (f"{known}=" for known in _WORDS[action])
    raise _unknown(word, f"a word of {action}", (*names, *requests, "an owner/name"))


def _named(action: Action, name: str, value: str) -> tuple[str, Any]:
    word = _WORDS[action].get(name)
    if word is None:
        raise _unknown(f"{name}=", f"a word of {action}", tuple(f"{k}=" for k in _WORDS[action]))
    return word.field, _value(word, f"{name}={value}", value)


def _value(word: _Word, written: str, value: str) -> Any:
    try:
        return word.read(value)
    except ValueError as error:
        raise FaultTextError(f"{written!r} should have {word.form}") from error


def _unknown(word: str, what: str, known: tuple[str, ...]) -> FaultTextError:
    return FaultTextError(f"{word!r} is not {what}; known are {', '.join(known)}")


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
