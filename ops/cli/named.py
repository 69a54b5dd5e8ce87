"""Commands for a Space's secrets and variables: `ops settings secrets` and `variables`."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ops.cli.context import Globals, pass_globals
from ops.cli.settings import How, change, look, restarts
from ops.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.given_values import Reader, Source
    from ops.settings.named import Kind

    Command = Callable[..., Any]

_only = click.option("--only", metavar="NAME", multiple=True, help="This name only; repeatable.")


def _from_options(command: Command) -> Command:
    """Gives a command the options for a value from elsewhere, as its `source`."""

    @functools.wraps(command)
    def with_source(
        *given: Any, stdin: bool, from_env: str | None, from_file: str | None, **more: Any
    ) -> Any:
        return command(*given, source=_source(from_env, from_file, stdin=stdin), **more)

    options = (
        click.option("--stdin", is_flag=True, help="The value comes on stdin."),
        click.option("--from-env", metavar="NAME", help="The value of an environment variable."),
        click.option("--from-file", metavar="PATH", help="The content of a file; - is stdin."),
    )
    return functools.reduce(lambda inner, option: option(inner), reversed(options), with_source)


def _source(from_env: str | None, from_file: str | None, *, stdin: bool) -> Source | None:
    from ops.given_values import STDIN, Source

    if sum((stdin, from_env is not None, from_file is not None)) > 1:
        raise click.UsageError("Name one of --stdin, --from-env and --from-file.")
    if stdin or from_file == STDIN:
        return Source("stdin")
    if from_env is not None:
        return Source("env", from_env)
    return Source("file", from_file) if from_file is not None else None


@click.group()
def secrets() -> None:
    """List, set and unset the Space's secrets.

    Their values come from a question, stdin, the environment or a file, never from an argument,
    which other users of this machine and the shell's history would see.

    \b
    Examples: ops settings secrets set EMBED_API_KEYS
              ops settings secrets import .env
    """


@click.group()
def variables() -> None:
    """List, set and unset the Space's variables, which are public.

    \b
    Examples: ops settings variables set EMBED_LOG_LEVEL=debug
              ops settings variables list
    """


@secrets.command("list")
@pass_globals
def list_secrets(options: Globals) -> None:
    """List the secrets: when each was set, and whether space.toml agrees.

    \b
    Example: ops settings secrets list
    """
    _list(options, "secret")


@variables.command("list")
@pass_globals
def list_variables(options: Globals) -> None:
    """List the variables as NAME=value.

    \b
    Example: ops settings variables list
    """
    _list(options, "variable")


# What looks like an option may be a value in the wrong place, which Click would show.
@secrets.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("names", metavar="NAME", nargs=-1, required=True)
@_from_options
@restarts
@pass_globals
def set_secret(options: Globals, names: tuple[str, ...], source: Source | None, how: How) -> None:
    """Set a secret.

    Asks for the value, without showing it, unless an option says where it comes from. A value that
    this machine has written before is not written again. With --save, space.toml learns where the
    value comes from, never the value.

    \b
    Examples: ops settings secrets set EMBED_API_KEYS
              pass show keys | ops settings secrets set EMBED_API_KEYS --stdin
              ops settings secrets set EMBED_API_KEYS --from-env EMBED_API_KEYS --save
    """
    from ops.given_values import Given, Source, checked, require_name
    from ops.settings import named as verb

    if len(names) > 1 or "=" in names[0]:
        raise ConfigError(
            "A secret's value is never an argument: give its NAME, and nothing else.",
            cause="Arguments are seen by other users of this machine, and kept by the shell.",
            next_step="If a real value was there, replace it; then ops settings secrets set NAME, "
            "with --stdin, --from-env or --from-file.",
        )
    require_name(names[0], "argument 1")
    source = source or Source("prompt", names[0])
    given = checked([Given(names[0], _reader().read(source), "argument 1")])
    saved = source.in_space_toml(options.config_path.parent) if how.save else None
    change(options, how, lambda writer: verb.set_secrets(writer, given, source=saved))


@variables.command("set")
@click.argument("assignments", metavar="NAME=value", nargs=-1, required=True)
@_from_options
@restarts
@pass_globals
def set_variables(
    options: Globals, assignments: tuple[str, ...], source: Source | None, how: How
) -> None:
    """Set variables, or one NAME whose value comes from elsewhere.

    Everybody who sees the Space sees them: what looks like a secret is refused, or asked about.
    Several are waited for once.

    \b
    Examples: ops settings variables set EMBED_LOG_LEVEL=debug EMBED_CACHE_MB=64
              ops settings variables set BANNER --from-file banner.txt --save
    """
    from ops.given_values import Given, checked, pairs
    from ops.settings import named as verb

    if source is None:
        given = pairs(assignments)
    elif len(assignments) == 1:
        given = checked([Given(assignments[0], _reader().read(source), "argument 1")])
    else:
        raise click.UsageError("--stdin, --from-env and --from-file are for one NAME.")
    change(options, how, lambda writer: verb.set_variables(writer, given))


@secrets.command("import")
@click.argument("path", metavar="FILE")
@_only
@restarts
@pass_globals
def import_secrets(options: Globals, path: str, only: tuple[str, ...], how: How) -> None:
    """Set every secret of a .env file; - is stdin.

    Values are taken as they are: ${NAME} is not replaced. With --save, space.toml takes those that
    it does not know yet from environment variables of the same names.

    \b
    Examples: ops settings secrets import .env
              ops settings secrets import .env --only EMBED_API_KEYS --dry-run
    """
    from ops.settings import named as verb

    given = _reader().read_env_file(path, only)
    change(options, how, lambda writer: verb.set_secrets(writer, given))


@variables.command("import")
@click.argument("path", metavar="FILE")
@_only
@restarts
@pass_globals
def import_variables(options: Globals, path: str, only: tuple[str, ...], how: How) -> None:
    """Set every variable of a .env file; - is stdin.

    Values are taken as they are: ${NAME} is not replaced.

    \b
    Examples: ops settings variables import public.env
              ops settings variables import - --save < public.env
    """
    from ops.settings import named as verb

    given = _reader().read_env_file(path, only)
    change(options, how, lambda writer: verb.set_variables(writer, given))


@secrets.command("unset")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@restarts
@pass_globals
def unset_secrets(options: Globals, names: tuple[str, ...], how: How) -> None:
    """Remove secrets; their values are lost.

    \b
    Example: ops settings secrets unset OLD_KEY --save
    """
    _unset(options, "secret", names, how)


@variables.command("unset")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@restarts
@pass_globals
def unset_variables(options: Globals, names: tuple[str, ...], how: How) -> None:
    """Remove variables.

    \b
    Example: ops settings variables unset EMBED_LOG_LEVEL
    """
    _unset(options, "variable", names, how)


def _unset(options: Globals, kind: Kind, names: tuple[str, ...], how: How) -> None:
    from ops.settings import named as verb

    change(options, how, lambda writer: verb.unset(writer, kind, names))


def _reader() -> Reader:
    from functools import partial

    from ops.bounded_read import read_stream
    from ops.given_values import Reader

    def ask(name: str) -> str:
        return str(click.prompt(name, hide_input=True, err=True))

    given = partial(read_stream, sys.stdin.buffer)
    return Reader(os.environ, given, ask if sys.stdin.isatty() else None)


def _list(options: Globals, kind: Kind) -> None:
    found = look(options)
    live = tuple(one for one in found.settings if one.field == kind and one.is_live)
    text = "\n".join(one.line() for one in live)
    options.output.result(text, {"repo_id": found.repo_id, "settings": [asdict(o) for o in live]})
