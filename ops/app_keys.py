"""The app's own keys, as the secret EMBED_API_KEYS holds them.

The server reads them by the same rule (space_app/settings.py) and does not start otherwise. Found
out on the Hub, that would cost a start, and the value that was there before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ops.config import API_KEYS
from ops.errors import ConfigError
from ops.redaction import hide_value

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY = re.compile(r"[!-~]+")
_RULE = (
    "A key is `name=key` or bare, of printable ASCII without spaces, commas and `=`, and no name "
    "is there twice; the server does not start otherwise."
)
_NEXT = f"Correct the value of {API_KEYS}; nothing was touched."


def first_key(secrets: Mapping[str, str]) -> str | None:
    """The first of the app's keys, without its name; none of them is printed from now on.

    Raises:
        ConfigError: the secret is there, and the server would not start with it.
    """
    if API_KEYS not in secrets:
        return None
    hide_value(API_KEYS, secrets[API_KEYS])
    named = _named(secrets[API_KEYS])
    if wrong := _wrong(named):
        raise ConfigError(f"{API_KEYS} {wrong}.", cause=_RULE, next_step=_NEXT)
    return named[0][1]


def app_keys(value: str) -> list[str]:
    """The keys in a value that the server would start with, without their names."""
    return [key for _, key in _named(value)]


def _named(value: str) -> list[tuple[str, str]]:
    entries = [entry.strip() for entry in re.split(r"[,\n]", value)]
    return [_parted(number, entry) for number, entry in enumerate(entries, 1) if entry]


def _parted(number: int, entry: str) -> tuple[str, str]:
    name, equals, key = entry.partition("=")
    return (name.strip(), key.strip()) if equals else (f"key {number}", entry)


def _wrong(named: list[tuple[str, str]]) -> str | None:
    for number, (name, key) in enumerate(named, 1):
        if not name.isprintable() or not _KEY.fullmatch(key) or "=" in key:
            return f"has an entry that is no key, number {number}"
    if len({name for name, _ in named}) < len(named):
        return "uses the same name for two keys"
    return None if named else "holds no key"
