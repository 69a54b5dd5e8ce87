"""Makes text safe to print: without secrets, and without anything that a terminal would obey.

Foreign text (logs, names, error messages of others) can hold escape sequences, characters that
reorder or hide what is around them, and secrets. `safe` is the one function that all of it passes:
in `ops.terminal` before it is laid out, in `guard_output` whatever else is printed.
"""

from __future__ import annotations

import re
import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO, cast

from ops.redaction import HIDDEN, redacted, secrets_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, the cursor
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\n\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC
    r"|\x1b(?:[()*+][0-9A-Z]|[78=>DEHMc])"  # character sets, and short ones
)
"""A whole control sequence of ECMA-48. Colours of a build's log are the usual reason for one."""

_OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"  # control characters and halves of characters
    r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # these reorder what is around them
    r"\u00ad\u115f\u1160\u180e\u200b\u200c\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"  # unseen
    r"\ufff9-\ufffb\U000e0000-\U000e0fff]"
    r"|(?<![\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])\u200d"  # joins emojis; unseen elsewhere
)

Edit = tuple[int, int, str]
"""A place in a text, and what is to stand there."""


def _sequences(text: str) -> list[Edit]:
    return [(*match.span(), "") for match in _SEQUENCE.finditer(text)]


def _secrets(text: str) -> list[Edit]:
    return [(*span, HIDDEN) for span in secrets_in(text)]


def _characters(text: str) -> list[Edit]:
    return [(*match.span(), _escaped(match[0])) for match in _OBEYED.finditer(text)]


STEPS: tuple[Callable[[str], list[Edit]], ...] = (_secrets, _sequences, _secrets, _characters)
"""What is replaced, one after the other. Secrets come twice: a colour in the middle of one must not
save it, nor half a sequence before it, which takes its first letters along."""


def safe(text: str) -> str:
    """The text without secrets and control sequences; what else a terminal obeys is escaped.

    Only newlines and tabs stay as they are. Escapes are those of JSON.
    """
    if text.isascii() and text.isprintable() and not secrets_in(text):
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for step in STEPS:
        text = edited(text, step(text))
    return text


def safe_line(text: str) -> str:
    """The same on one line, so that foreign text can't pass for a line of ours."""
    return re.sub(r"[\n\t]", " ", safe(text.strip("\r\n")))


def safe_data(data: Any) -> Any:
    """The same value without secrets in its texts, for JSON, which escapes characters itself."""
    if isinstance(data, str):
        data = redacted(data)
        plain = edited(data, _sequences(data))
        return redacted(plain) if secrets_in(plain) else data
    if isinstance(data, dict):
        return {key: safe_data(value) for key, value in data.items()}
    return [safe_data(value) for value in data] if isinstance(data, list | tuple) else data


def escaped(text: str) -> str:
    """The text with what a terminal obeys escaped, as JSON allows within its strings."""
    return edited(text, _characters(text))


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made."""
    parts, done = [], 0
    for start, end, new in edits:
        parts += [text[done:start], new]
        done = end
    return "".join([*parts, text[done:]])


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


def guard_output() -> None:
    """Make everything safe that this process prints on stdout and stderr, whoever prints it."""
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def unguarded(stream: Any) -> TextIO:
    """The stream behind a guarded one, for text that is safe already and has styles of ours."""
    return cast("TextIO", getattr(stream, "unguarded", stream))


class _Guarded:
    """A text stream that makes whole lines safe, so that no piece of a secret goes ahead.

    It has no `buffer`, past which nothing would be guarded.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._line = ""
        self._lock = threading.RLock()

    @property
    def unguarded(self) -> TextIO:
        """Where the safe text goes; what was written before is there already."""
        self.flush()
        return self._stream

    def write(self, text: str) -> int:
        """Take a piece; what ends in a newline goes on."""
        with self._lock:
            lines, newline, self._line = (self._line + text).rpartition("\n")
            if newline:
                self._stream.write(safe(lines) + newline)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Take several."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Let a line without an end go on, such as a question."""
        with self._lock:
            line, self._line = self._line, ""
            if line:
                self._stream.write(safe(line))
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)


def _guarded(stream: TextIO) -> TextIO:
    # A character that the terminal doesn't have is shown as its number, and ends no command.
    if getattr(stream, "errors", None) in ("strict", "surrogateescape"):
        cast("Any", stream).reconfigure(errors="backslashreplace")
    return cast("TextIO", _Guarded(stream))
