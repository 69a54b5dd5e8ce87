"""The one way to the terminal: rich, with every text made safe before it is laid out.

Layout crops and wraps, and styles put sequences between characters: nobody finds a secret after
that. And only here can our own styles be told from the escape sequences of others.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ops.safe_text import STEPS, escaped, safe, safe_data, unguarded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType
    from rich.segment import Segment

    from ops.safe_text import Edit


class Terminal(Console):
    """A console that shows no secret, and no style but those of this program."""

    def __init__(self, *, stderr: bool = False):
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    @property
    def file(self) -> IO[str]:
        """Where it writes."""
        return unguarded(super().file)

    @file.setter
    def file(self, new: IO[str]) -> None:
        self._file = new

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Rich renders each text with this, wherever in a table or a live view it is."""
        if isinstance(renderable, Text):
            renderable = _safe(renderable)
        return super().render(renderable, options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The same for a text without a style."""
        return super().render_str(safe(text), **options)

    def document(self, data: Any, *, indent: int | None = None) -> None:
        """Write JSON, which stays valid whatever a secret is like."""
        text = json.dumps(
            safe_data(data), indent=indent, ensure_ascii=not self.encoding.startswith("utf")
        )
        self.file.write(escaped(text) + "\n")
        self.file.flush()


def _safe(text: Text) -> Text:
    for step in STEPS:
        if edits := step(text.plain):
            text = _edited(text, edits)
    return text


def _edited(text: Text, edits: Iterable[Edit]) -> Text:
    """As `edited` for a text with styles, which are kept."""
    parts, done = [], 0
    for start, end, new in edits:
        parts += [text[done:start], Text(new, style=text.style)]
        done = end
    return text.blank_copy().join([*parts, text[done:]])
