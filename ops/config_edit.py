"""Writes a change into space.toml, and leaves everything else in it as it is."""

from __future__ import annotations

import copy
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table, Whitespace

from ops import files
from ops.config_file import environments_in, load, parse, parse_toml, read
from ops.errors import ConfigError, Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ops.config import Config


@dataclass(frozen=True)
class Edit:
    """What a key shall be; None removes it. A mapping becomes an inline table."""

    section: Literal["space", "variables", "secrets"]
    key: str
    value: str | int | Mapping[str, str | bool] | None

    def by_hand(self, environment: str | None) -> str:
        """What to do where the file can't be edited here."""
        prefix = f"environments.{environment}." if environment is not None else ""
        table = f"[{prefix}{self.section}]"
        if self.value is None:
            return f"remove {self.key} from {table}"
        return f"add {self.key} = {_item(self.value).as_string()} to {table}"


@dataclass(frozen=True)
class SpaceFile:
    """A space.toml, and the environment of it that is meant."""

    path: Path
    environment: str | None = None

    def config(self) -> Config:
        """What it says now."""
        return load(self.path, self.environment)

    def edited(self, edits: Sequence[Edit]) -> str:
        """The file's text after `edits`.

        With an environment, they are made in its own tables.

        Raises:
            ConfigError: the file would be invalid then, or would not say what is wanted.
        """
        return self._edited(read(self.path), edits)

    def require_writable(self) -> None:
        """Raise ConfigError where `save` could not write."""
        with self._writing():
            files.require_writable(self.path.resolve())

    def save(self, edits: Sequence[Edit]) -> None:
        """Make `edits` in the file as it is now, whatever else was changed in it meanwhile.

        Raises:
            Conflict: the file was changed, and can't be edited any more.
            ConfigError: it can't be written.
        """
        path = self.path.resolve()
        with self._writing(), files.locked(path):
            before = read(path)
            after = self._edited_again(before, edits)
            while (now := read(path)) != before:  # an editor takes no lock
                before, after = now, self._edited_again(now, edits)
            if after != before:
                files.write(path, after.encode())

    def _edited_again(self, text: str, edits: Sequence[Edit]) -> str:
        try:
            return self._edited(text, edits)
        except ConfigError as error:
            raise Conflict(
                f"{self.path} was changed meanwhile, and can't be edited now.",
                cause=error.message,
                next_step=f"Correct {self.path}, then make the change in it by hand.",
            ) from error

    def _edited(self, text: str, edits: Sequence[Edit]) -> str:
        if self.environment not in (None, *environments_in(text, self.path)):
            raise ConfigError(
                f"{self.path} has no environment {self.environment!r}.",
                next_step=f"Add [environments.{self.environment}] to it, or leave --env out.",
            )
        wanted = parse_toml(text, self.path)
        for edit in edits:
            _set_plain(wanted, self._tables(edit), edit)
        after = self._written(text, edits)
        self._require_as_wanted(after, wanted)
        self._require_valid(text, after)
        self._require_said(parse(after, self.path, self.environment), edits)
        return after

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"{self.path} can't be written: {error.strerror or error}.",
                next_step="Make it writable, or name another file with --config.",
            ) from error

    def _written(self, text: str, edits: Sequence[Edit]) -> str:
        try:
            document = tomlkit.parse(text)
            for edit in edits:
                _set(_section(document, self._tables(edit)), edit)
            return tomlkit.dumps(document)
        except TOMLKitError as error:
            raise self._too_odd() from error

    def _tables(self, edit: Edit) -> tuple[str, ...]:
        if self.environment is None:
            return (edit.section,)
        return ("environments", self.environment, edit.section)

    def _require_as_wanted(self, after: str, wanted: dict[str, Any]) -> None:
        """TOML can be written in ways that its editor does not master: then nothing is written."""
        try:
            done = tomllib.loads(after) == wanted
        except tomllib.TOMLDecodeError:
            done = False
        if not done:
            raise self._too_odd()

    def _too_odd(self) -> ConfigError:
        return ConfigError(
            f"The layout of {self.path} is too unusual for --save to edit.",
            next_step="Leave out --save, and edit the file by hand.",
        )

    def _require_valid(self, before: str, after: str) -> None:
        """Whatever was valid before, the file alone or an environment of it, must be so after."""
        for name in (None, *environments_in(before, self.path)):
            try:
                parse(before, self.path, name)
            except ConfigError:
                continue
            try:
                parse(after, self.path, name)
            except ConfigError as error:
                raise ConfigError(
                    f"Not saved, for then {error.message}",
                    next_step="Leave out --save, or correct what stands in its way first.",
                ) from error

    def _require_said(self, config: Config, edits: Sequence[Edit]) -> None:
        for edit in edits:
            if edit.section == "space" or edit.value is not None:
                continue
            if edit.key in getattr(config, edit.section):
                raise ConfigError(
                    f"{edit.section}.{edit.key} is not the environment's own.",
                    cause=f"It is in [{edit.section}], which all environments have in common.",
                    next_step=f"Take it out of [{edit.section}] by hand, and leave out --save.",
                )


def _section(document: Any, tables: tuple[str, ...]) -> Any:
    """The table of an edit; made where there is none."""
    for name in tables:
        if name not in document:
            document[name] = tomlkit.table()
        document = document[name]
    return document


def _set(table: Any, edit: Edit) -> None:
    if edit.value is None:
        table.pop(edit.key, None)
    elif edit.key in table or not isinstance(table, Table):
        table[edit.key] = _item(edit.value)
    else:
        _append(table, edit.key, _item(edit.value))


def _append(table: Table, key: str, value: Any) -> None:
    """Put a new key below the others, not below comments that are about what comes next."""
    body = table.value.body
    last = max((place for place, (name, _) in enumerate(body) if name is not None), default=-1)
    end = next(
        (n for n in range(last + 1, len(body)) if isinstance(body[n][1], Whitespace)), len(body)
    )
    rest = body[end:]
    del body[end:]
    table.append(key, value)
    body.extend(rest)


def _item(value: str | int | Mapping[str, str | bool]) -> Any:
    if isinstance(value, str | int):
        return tomlkit.item(value)
    inside = ", ".join(f"{key} = {tomlkit.item(v).as_string()}" for key, v in value.items())
    return tomlkit.value(f"{{ {inside} }}")


def _set_plain(data: dict[str, Any], tables: tuple[str, ...], edit: Edit) -> None:
    for name in tables:
        data = data.setdefault(name, {})
    if edit.value is None:
        data.pop(edit.key, None)
    else:
        data[edit.key] = copy.copy(edit.value)
