"""Where secrets come from: the environment, a file, or a question."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ops.bounded_read import read_file
from ops.errors import ConfigError
from ops.redaction import hide, hide_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ops.config import SecretSource

_SMALL = 64 * 1024
"""Bytes; of a larger file, only the beginning is looked at. Secrets are far smaller."""


def text_of(content: bytes, *, errors: str = "strict") -> str:
    """A file as text with Unix line ends, and without the byte-order mark of Windows.

    Every reader of secrets uses this, so that all of them see the same value.
    """
    return content.decode("utf-8-sig", errors).replace("\r\n", "\n")


def small_file(path: Path) -> str | None:
    """What a small file holds; None for one that can't be read or isn't an ordinary file.

    A pipe, for instance, can be read only once, by whoever needs what comes out of it.
    """
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            content = file.read(_SMALL)
    except (OSError, ValueError):  # such as a NUL in its name
        return None
    return text_of(content, errors="ignore")


def hide_secrets_of(space_toml: Path, environment: Mapping[str, str]) -> None:
    """Never print a secret that a space.toml names and that can be read now.

    Says nothing of what is wrong with the file, and asks for nothing: a command that needs the file
    or a secret reads it itself.
    """
    try:
        data = tomllib.loads(small_file(space_toml) or "")
    except tomllib.TOMLDecodeError:
        return
    for name, source in _sources(data):
        value: Any = source
        if isinstance(source, dict) and isinstance(variable := source.get("env"), str):
            value = environment.get(variable)
        elif isinstance(source, dict) and isinstance(file := source.get("file"), str):
            value = small_file(space_toml.parent / file)
        # A value in the place of its source is a mistake, and no less a secret.
        if isinstance(value, str):
            hide_value(name, value)


def _sources(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and sources of [secrets], in every environment."""
    environments = data.get("environments")
    others = environments.values() if isinstance(environments, dict) else ()
    for section in (data, *others):
        secrets = section.get("secrets") if isinstance(section, dict) else None
        if isinstance(secrets, dict):
            yield from secrets.items()


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
            return text_of(read_file(path)).removesuffix("\n")
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
