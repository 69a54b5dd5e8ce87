"""Which files a repository keeps outside git, by `.gitattributes`, and ignores, by `.gitignore`.

Only the files at the top are read. Patterns are those of gitignore(5) in both, which differ for
folders only: here, one that matches a folder matches what is in it too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ATTRIBUTES = ".gitattributes"
IGNORE = ".gitignore"
LFS = "filter=lfs diff=lfs merge=lfs -text"
_LARGE_BY_NAME = (
    *("*.7z", "*.arrow", "*.bin", "*.bz2", "*.ckpt", "*.ftz", "*.gz", "*.h5", "*.joblib"),
    *("*.lfs.*", "*.mlmodel", "*.model", "*.msgpack", "*.npy", "*.npz", "*.onnx", "*.ot"),
    *("*.parquet", "*.pb", "*.pickle", "*.pkl", "*.pt", "*.pth", "*.rar", "*.safetensors"),
    *("saved_model/**/*", "*.tar.*", "*.tar", "*.tflite", "*.tgz", "*.wasm", "*.xz", "*.zip"),
    *("*.zst", "*tfevents*"),
)
FIRST_ATTRIBUTES = "".join(f"{pattern} {LFS}\n" for pattern in _LARGE_BY_NAME).encode()
"""What the first commit of a repository on huggingface.co keeps outside git, by its name."""

_SPECIAL = re.compile(r"[\\*?\[\]!#\"]")
"""What a pattern takes for more than itself."""


class Attributes:
    """What `.gitattributes` says of large files; a later line overrules an earlier one."""

    def __init__(self, text: str):
        self._text = text
        self._rules = [
            (spec, "filter=lfs" in attributes)
            for pattern, attributes in _lines(text)
            if (spec := _spec([pattern])) is not None
        ]

    def is_large(self, path: str) -> bool:
        """Whether the file is to be kept outside git, whatever it holds."""
        for spec, large in reversed(self._rules):
            if spec.match_file(path):
                return large
        return False

    def naming(self, paths: Iterable[str]) -> str:
        """The text with a line for each of the paths that has none yet."""
        new = [f"{_pattern(path)} {LFS}\n" for path in sorted(paths) if not self.is_large(path)]
        start = self._text
        if start and not start.endswith("\n"):
            start += "\n"
        return start + "".join(new) if new else self._text


def ignores(text: str) -> GitIgnoreSpec | None:
    """What a `.gitignore` matches; None when it cannot be read, and so ignores nothing."""
    return _spec(text.splitlines())


def _lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Pattern and attributes of each line that is about filters."""
    for line in text.splitlines():
        pattern, *attributes = line.split() or [""]
        if pattern and not pattern.startswith(("#", "[attr]")):
            about = [a for a in attributes if a.lstrip("-!").startswith("filter")]
            if about:
                yield pattern.replace("[[:space:]]", "?"), about


def _spec(patterns: list[str]) -> GitIgnoreSpec | None:
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError:
        return None


def _pattern(path: str) -> str:
    """As the Hub writes it: a path has no blanks of its own in a line of attributes."""
    escaped = _SPECIAL.sub(lambda match: "\\" + match[0], path)
    return re.sub(r"\s", "[[:space:]]", escaped)
