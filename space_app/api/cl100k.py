"""Token numbers of OpenAI's vocabulary cl100k, back to the text that they were made of."""

from __future__ import annotations

import base64
import binascii
import hashlib
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Self

from space_app.core.errors import EmptyInput, InvalidRequest, PayloadTooLarge, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
"""Of the file as OpenAI publishes it: with another one, numbers would mean other words."""

_MAX_BYTES = 32 * 1024 * 1024
"""Of text in one request: a token may stand for 128 bytes, and be five in a body."""

_SPECIAL = {
    100257: b"<|endoftext|>",
    100258: b"<|fim_prefix|>",
    100259: b"<|fim_middle|>",
    100260: b"<|fim_suffix|>",
    100276: b"<|endofprompt|>",
}


class Vocabulary:
    """What each number stands for."""

    def __init__(self, tokens: Sequence[bytes]):
        # In one piece: a hundred thousand objects would take ten megabytes.
        self._bytes = b"".join(tokens)
        self._starts = array("I", [0, *accumulate(map(len, tokens))])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read cl100k_base.tiktoken; raises SettingsError."""
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != SHA256:
                raise SettingsError(
                    f"EMBED_CL100K_FILE {path} is not OpenAI's cl100k_base.tiktoken.",
                    cause="Its checksum is another.",
                )
            return cls([base64.b64decode(line.partition(b" ")[0]) for line in content.splitlines()])
        except (OSError, binascii.Error) as error:
            raise SettingsError(f"EMBED_CL100K_FILE {path} cannot be read.") from error

    def __len__(self) -> int:
        return len(self._starts) - 1

    def texts(self, tokens: list[object]) -> str | list[str]:
        """The text of a list of numbers, or those of several lists.

        Raises:
            EmptyInput: one of several is empty.
            InvalidRequest: something in it is no number of the vocabulary.
            PayloadTooLarge: they stand for too much text.
        """
        several = isinstance(tokens[0], list)
        found: list[str] = []
        room = _MAX_BYTES
        for part in tokens if several else [tokens]:
            text = self._text(part, room)
            room -= len(text)
            # A part of a long text may begin or end within a character.
            found.append(text.decode("utf-8", "replace"))
        return found if several else found[0]

    def _text(self, tokens: object, room: int) -> bytes:
        if not isinstance(tokens, list):
            raise _not_tokens()
        if not tokens:
            raise EmptyInput("One of the lists of token numbers is empty.", param="input")
        text = bytearray()
        for token in tokens:
            text += self._token(token)
            if len(text) > room:
                raise PayloadTooLarge(
                    f"The tokens are more than {_MAX_BYTES // 1024**2} MB of text: send fewer "
                    "texts at a time."
                )
        return bytes(text)

    def _token(self, token: object) -> bytes:
        if type(token) is int:
            if 0 <= token < len(self):
                return self._bytes[self._starts[token] : self._starts[token + 1]]
            if token in _SPECIAL:
                return _SPECIAL[token]
        raise _not_tokens()


def _not_tokens() -> InvalidRequest:
    return InvalidRequest(
        "The input is no list of token numbers of cl100k_base, nor a list of such lists.",
        param="input",
    )
