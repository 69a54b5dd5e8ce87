"""Values of secrets and variables as they are given: stdin, environment, a file, a .env, arguments.

Whatever is wrong with them is said without repeating it, for it may be a secret in a wrong place.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dotenv.parser import parse_stream

from ops.bounded_read import read_file
from ops.config import SecretSource, is_name
from ops.errors import ConfigError
from ops.secret_scan import scan
from ops.secret_values import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ops.secret_scan import Suspect

STDIN = "-"
"""The file name that stands for stdin."""


@dataclass(frozen=True)
class Given:
    """A name and its value; `where` is the line of a file or the place among arguments."""

    name: str
    value: str = field(repr=False)
    where: str


@dataclass(frozen=True)
class Source:
    """Where one value is to be read."""

    kind: Literal["stdin", "env", "file", "prompt"]
    place: str = field(default="", repr=False)

    def in_space_toml(self, folder: Path) -> SecretSource | None:
        """How a space.toml in `folder` names it; None for stdin, which is there only once.

        Raises:
            ConfigError: it is called as space.toml can name none.
        """
        if self.kind == "env":
            if not is_name(self.place):
                raise ConfigError(
                    "space.toml can name no environment variable that is called so.",
                    next_step="Leave out --save, or call it otherwise.",
                )
            return SecretSource(env=self.place)
        if self.kind == "file":
            path = Path(self.place)
            beside = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
            return SecretSource(file=self.place if path.is_absolute() else beside)
        return SecretSource(prompt=True) if self.kind == "prompt" else None


@dataclass(frozen=True)
class Reader:
    """Reads values; `stdin` is read only when it is meant.

    `ask` puts a question without showing the answer, None where nobody can be asked.
    """

    environment: Mapping[str, str] = field(repr=False)
    stdin: Callable[[], bytes]
    ask: Callable[[str], str] | None

    def read(self, source: Source) -> str:
        """The value; a file's last newline, which editors add, is not part of it.

        Raises:
            ConfigError: there is none.
        """
        if source.kind == "env":
            value = self.environment.get(source.place, "")
            missing = "--from-env takes a variable's name, and there is none of this name"
        elif source.kind == "prompt":
            value = self.ask(source.place) if self.ask is not None else ""
            missing = "There is no terminal to ask on"
        elif source.kind == "file":
            value, missing = self._text(source.place).removesuffix("\n"), "The file is empty"
        else:
            value, missing = self._text(STDIN).removesuffix("\n"), "Nothing came on stdin"
        if not value:
            raise ConfigError(
                "There is no value to set.",
                cause=f"{missing}.",
                next_step="Say where it is: --stdin, --from-env NAME or --from-file PATH.",
            )
        return value

    def read_env_file(self, path: str, only: Sequence[str] = ()) -> tuple[Given, ...]:
        """What a .env file gives, or those of its names that are in `only`.

        Nothing in a value is replaced: `${NAME}` stays as it is.

        Raises:
            ConfigError: a line that is no NAME=value, or no such name.
        """
        for number, name in enumerate(only, start=1):
            require_name(name, f"--only number {number}")
        found = tuple(_bindings(self._text(path)))
        if missing := set(only) - {given.name for given in found}:
            raise ConfigError(
                f"The file has no {', '.join(sorted(missing))}.",
                next_step="Correct --only, or add it to the file.",
            )
        return checked(given for given in found if not only or given.name in only)

    def _text(self, path: str) -> str:
        try:
            content = self.stdin() if path == STDIN else read_file(Path(path))
            return text_of(content)
        except OSError as error:
            trouble = error.strerror or type(error).__name__
        except UnicodeDecodeError:
            trouble = "it is not UTF-8 text"
        # Raised outside the handlers: a decoding error carries what it could not decode.
        raise ConfigError(
            "The file cannot be read.",
            cause=f"{trouble}.",
            next_step="Name another one; - is stdin.",
        )


def pairs(arguments: Iterable[str]) -> tuple[Given, ...]:
    """Arguments of the form NAME=value.

    Raises:
        ConfigError: one is not, or a name that cannot be.
    """
    found = []
    for number, argument in enumerate(arguments, start=1):
        name, separator, value = argument.partition("=")
        if not separator:
            raise ConfigError(
                f"Argument {number} is not of the form NAME=value.",
                next_step="From elsewhere: one NAME, and --stdin, --from-env or --from-file.",
            )
        found.append(Given(name, value, f"argument {number}"))
    return checked(found)


def checked(given: Iterable[Given]) -> tuple[Given, ...]:
    """The same, if every name may be one, occurs once, and has a text as its value.

    Raises:
        ConfigError: says where, and repeats nothing that may be a secret.
    """
    found: dict[str, Given] = {}
    for one in given:
        require_name(one.name, one.where)
        if before := found.get(one.name):
            raise ConfigError(
                f"{one.name} is given twice: {before.where} and {one.where}.",
                next_step="Leave one of them out.",
            )
        if "\0" in one.value or not _is_unicode(one.value):
            raise ConfigError(
                f"The value of {one.name} is not a text.",
                next_step="Give it as UTF-8 without a NUL character.",
            )
        found[one.name] = one
    return tuple(found.values())


def require_name(name: str, where: str) -> None:
    """Raise ConfigError for what cannot be a name, or looks like a value in its place."""
    if not is_name(name):
        raise ConfigError(
            f"What should be a name ({where}) is none.",
            cause="The Hub takes letters, digits and _, a letter first.",
            next_step="Correct it.",
        )
    if suspect := find_secret(name):
        raise ConfigError(
            f"What should be a name ({where}) looks like {suspect.kind}.",
            next_step="Give the name alone; ops settings secrets set --help says how values go.",
        )


def find_secret(text: str) -> Suspect | None:
    """What in a text looks like a secret, if anything."""
    return min(scan({"": text.encode()}), key=lambda suspect: not suspect.certain, default=None)


def _bindings(text: str) -> Iterator[Given]:
    for binding in parse_stream(io.StringIO(text)):
        # A statement's own text begins with the empty lines before it.
        blank = len(binding.original.string) - len(binding.original.string.lstrip())
        line = binding.original.line + binding.original.string[:blank].count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(
                f"Line {line} of the file is not of the form NAME=value.",
                next_step="Correct it; a comment begins with #.",
            )
        if binding.key is not None and binding.value is not None:
            yield Given(binding.key, binding.value, f"line {line}")


def _is_unicode(text: str) -> bool:
    """Whether it can be sent; an environment variable of other bytes cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
