"""Knows this process's secrets, and finds them in any text that is about to be printed.

`ops.safe_text` calls this for everything that is printed. Nobody prints a secret on purpose: this
is for the text of somebody else's error, or of a log.
"""

from __future__ import annotations

import base64
import functools
import html
import json
import re
import urllib.parse
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HIDDEN = "[hidden]"

_API_KEYS = "EMBED_API_KEYS"
"""As in `ops.config`, which takes long to import. Its value is `name=key` or `key`, with commas."""

SHORT = 8
"""A secret with fewer characters may be part of any word, so it is hidden as a whole word only."""

_TOO_SHORT = 4
"""With fewer characters it isn't hidden at all."""

_ANY_SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}"  # anybody's token of the Hub
    r"|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"  # a user and a password in a URL
)

Span = tuple[int, int]
"""Where something starts and ends in a text."""

_Forms = dict[str, re.Pattern[str] | None]
_known: _Forms = {}
"""Every form of every secret; the short ones with a pattern for the whole word."""

_suspected: _Forms = {}
"""The same of what might be one."""


def hide(secret: str | None, *, suspected: bool = False) -> None:
    """Never print this again: neither whole nor one of its lines, nor encoded.

    What is only `suspected` to be a secret isn't looked for in what is published.
    """
    secret, forms = secret or "", _suspected if suspected else _known
    for line in (secret, *secret.splitlines()):
        text = line.strip()
        if len(text) >= SHORT:
            forms.update(dict.fromkeys(_forms(text)))
        elif len(text) >= _TOO_SHORT:
            forms[text] = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


def hide_value(name: str, value: str | None) -> None:
    """Never print the value of this variable again, nor any key in it."""
    hide(value)
    for entry in re.split(r"[,\n]", value or "") if name == _API_KEYS else ():
        label, equals, key = entry.partition("=")
        hide(key if equals else label)


def secrets_in(text: str) -> list[Span]:
    """Where a text shows a secret; no two of these places touch."""
    unknown = (match.span() for match in _ANY_SECRET.finditer(text))
    found = sorted(chain(known_in(text), _places(text, _suspected), unknown))
    spans: list[Span] = []
    for start, end in found:
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans


def redacted(text: str) -> str:
    """The text without secrets."""
    for start, end in reversed(secrets_in(text)):
        text = text[:start] + HIDDEN + text[end:]
    return text


def known_in(text: str) -> Iterator[Span]:
    """Where a text shows a secret whose value is known, not only something in the form of one."""
    return _places(text, _known)


def _places(text: str, forms: _Forms) -> Iterator[Span]:
    if not forms or not _any_of(tuple(forms)).search(text):
        return
    for secret, whole_word in tuple(forms.items()):
        if whole_word is not None:
            yield from (match.span() for match in whole_word.finditer(text))
            continue
        start = text.find(secret)
        while start >= 0:
            yield start, start + len(secret)
            start = text.find(secret, start + 1)


@functools.lru_cache(maxsize=4)
def _any_of(texts: tuple[str, ...]) -> re.Pattern[str]:
    """Most texts show none, which one search tells."""
    return re.compile("|".join(map(re.escape, texts)))


def _forms(secret: str) -> Iterable[str]:
    """The secret as itself and as JSON, Python, HTML, URLs and base64 write it."""
    quoted = urllib.parse.quote(secret, safe="", errors="surrogatepass")
    return (
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
        quoted,
        re.sub("%..", lambda match: match[0].lower(), quoted),
        urllib.parse.quote(secret, errors="surrogatepass"),
        urllib.parse.quote_plus(secret, errors="surrogatepass"),
        *_base64_forms(secret.encode(errors="surrogatepass")),
    )


def _base64_forms(secret: bytes) -> Iterator[str]:
    """What base64 makes of it within a longer text, such as USER:TOKEN of HTTP's Basic scheme.

    A letter of base64 is 6 bits, so there are three ways to begin. Letters that share bits with the
    text before or after the secret are left out.
    """
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret)
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        core = encoded[first:last].decode()
        yield core
        yield core.replace("+", "-").replace("/", "_")
