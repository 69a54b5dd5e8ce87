"""Where secrets come from when they are needed: the environment, a file, or a question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops.errors import ConfigError
from ops.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ops.config import SecretSource


def text_of(content: bytes) -> str:
    """A file as a text with the line ends of Unix, and without the mark that Windows begins it by.

    The same for whoever reads a secret: a value is the same value to all of them.
    """
    return content.decode("utf-8-sig").replace("\r\n", "\n")


@dataclass(frozen=True)
class SecretReader:
    """Resolves references of [secrets]; `ask` puts a question without showing the answer.

    `ask` is None where nobody can be asked, such as in CI.
    """

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    ask: Callable[[str], str] | None

    def read(self, sources: Mapping[str, SecretSource]) -> dict[str, str]:
        """Every secret's value; raises ConfigError naming the first that cannot be had."""
        return {name: self._read(name, source) for name, source in sources.items()}

    def _read(self, name: str, source: SecretSource) -> str:
        if source.env is not None:
            value = self.environment.get(source.env)
            missing = f"The environment variable {source.env} is not set"
        elif source.file is not None:
            value = self._read_file(name, self.folder / source.file)
            missing = f"{source.file} is empty"
        else:
            value = self.ask(name) if self.ask else None
            missing = "There is no terminal to ask on"
        if not value:
            raise ConfigError(
                f"The secret {name} has no value.",
                cause=f"{missing}.",
                next_step=f"Set it, or change secrets.{name} in space.toml.",
            )
        hide(value)
        return value

    def _read_file(self, name: str, path: Path) -> str:
        try:
            return text_of(path.read_bytes()).removesuffix("\n")
        except OSError as error:
            trouble = error.strerror or type(error).__name__
        except UnicodeDecodeError:
            trouble = "not UTF-8 text"
        # Raised outside the handler: a decoding error carries what it could not decode.
        raise ConfigError(
            f"The secret {name} has no value.",
            cause=f"{path} cannot be read: {trouble}.",
            next_step=f"Write the value there, or change secrets.{name} in space.toml.",
        )
