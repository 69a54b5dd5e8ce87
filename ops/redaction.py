"""Keeps secrets out of whatever this process prints: results, progress, tracebacks, other's logs.

Nobody prints a secret on purpose. This is for the text of somebody else's error, or of a log.
"""

from __future__ import annotations

import io
import json
import re
import sys

HIDDEN = "[hidden]"

_SHORTEST = 8
"""Characters; what is shorter may be a part of any word."""

_ANY_SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}"  # a token of the Hub, whosever
    r"|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"  # a user and a password in a URL
)

_known: dict[str, None] = {}


def hide(secret: str | None) -> None:
    """From now on this is not printed, whole or by its lines, plain or escaped."""
    for text in (secret or "", *(secret or "").splitlines()):
        if len(text) >= _SHORTEST:
            _known.update(dict.fromkeys((text, json.dumps(text)[1:-1], repr(text)[1:-1])))


def redacted(text: str) -> str:
    """The text without secrets."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _ANY_SECRET.sub(HIDDEN, text)


def redact_output() -> None:
    """Have stdout and stderr of this process redacted, whoever writes to them."""
    sys.stdout, sys.stderr = _redacting(sys.stdout), _redacting(sys.stderr)


class _Redacting(io.TextIOWrapper):
    """A stream that hides secrets in each text that is written."""

    def write(self, text: str, /) -> int:
        super().write(redacted(text))
        return len(text)


def _redacting(stream: object) -> _Redacting:
    if not isinstance(stream, io.TextIOWrapper):
        raise TypeError(stream)
    return _Redacting(
        stream.buffer,
        encoding=stream.encoding,
        # A terminal that has no such letter gets its number, and no command ends for that.
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
