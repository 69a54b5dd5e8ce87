"""Commands for what a Space runs on, who sees it, its secrets and variables: `ops settings`."""

from __future__ import annotations

import functools
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from ops.cli.context import UNTOUCHED, Globals, confirm, dry_run, hub, pass_globals

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.settings.change import Changed, Writer
    from ops.settings.shown import Shown

    Command = Callable[..., Any]

_SAVE = click.option("--save", is_flag=True, help="Write it into space.toml too.")
_NO_WAIT = click.option("--no-wait", is_flag=True, help="Do not wait until it answers again.")


@dataclass(frozen=True)
class How:
    """The options of every change."""

    dry_run: bool
    save: bool
    no_wait: bool = False


def changes(command: Command) -> Command:
    """Gives a command the options of a change, as its `how`."""

    @functools.wraps(command)
    def with_how(*given: Any, dry_run: bool, save: bool, no_wait: bool = False, **more: Any) -> Any:
        return command(*given, how=How(dry_run, save, no_wait), **more)

    return dry_run(_SAVE(with_how))


def restarts(command: Command) -> Command:
    """The same for a change after which the Space starts again."""
    return _NO_WAIT(changes(command))


@click.group()
def settings() -> None:
    """Show and change what the Space runs on, who sees it, its secrets.

    A change is written to the Hub at once, without a deploy; with --save into space.toml too, so
    that the two agree. What is so already is not written.

    \b
    Examples: ops settings show
              ops settings secrets set EMBED_API_KEYS
    """


@settings.command()
@pass_globals
def show(options: Globals) -> None:
    """Show every setting, and whether space.toml says the same.

    Variables with their values, secrets by name and when each was set.

    \b
    Example: ops settings show
    """
    found = look(options)
    options.output.result("\n".join(found.lines()), asdict(found))


@settings.command()
@click.argument("flavour", metavar="NAME")
@restarts
@pass_globals
def hardware(options: Globals, flavour: str, how: How) -> None:
    """Move the Space to other hardware.

    Shows what it costs now and then, and asks. A name that the Hub does not have is answered with
    those that it has.

    \b
    Examples: ops settings hardware cpu-upgrade
              ops --yes settings hardware cpu-basic --save
    """
    from ops.settings import space as verb

    change(options, how, lambda writer: verb.set_hardware(writer, flavour))


@settings.command("sleep-time")
@click.argument("time", metavar="TIME")
@changes
@pass_globals
def sleep_time(options: Globals, time: str, how: How) -> None:
    """Set after how long without a request the Space sleeps.

    TIME is in seconds, or such as 5m, 1h or 2d, or never. On cpu-basic it is fixed to 48 hours.

    \b
    Examples: ops settings sleep-time 1h
              ops settings sleep-time never --save
    """
    from ops.settings import space as verb

    seconds = verb.seconds_of(time)
    change(options, how, lambda writer: verb.set_sleep_time(writer, seconds))


@settings.command()
@click.argument("visibility", type=click.Choice(["private", "protected", "public"]))
@changes
@pass_globals
def visibility(options: Globals, visibility: Any, how: How) -> None:
    """Make the Space private, protected or public.

    Protected: the files are private, the app is public. Asks before anybody is let in.

    \b
    Examples: ops settings visibility private
              ops --yes settings visibility public --save
    """
    from ops.settings import space as verb

    change(options, how, lambda writer: verb.set_visibility(writer, visibility))


def change(options: Globals, how: How, carry_out: Callable[[Writer], Changed]) -> None:
    """Do it, and say what became of it."""
    done = carry_out(_writer(options, how))
    if how.dry_run:
        text = UNTOUCHED
    elif done.seconds is not None:
        text = f"{done.repo_id} answers again after {done.seconds:.0f} s: {done.url}"
    elif done.changes:
        text = f"{done.repo_id} is changed."
    else:
        text = f"{done.repo_id} stays as it is."
    if done.saved is not None and not how.dry_run:
        text += f"\nSaved in {done.saved}."
    options.output.result(text, {**asdict(done), "dry_run": how.dry_run})


def look(options: Globals) -> Shown:
    """Every setting, live and wanted."""
    from ops.secret_values import SecretReader
    from ops.settings.shown import show

    reader = SecretReader(options.config_path.parent, os.environ, ask=None)
    return show(hub(), options.config(), reader)


def _writer(options: Globals, how: How) -> Writer:
    from ops.config_edit import SpaceFile
    from ops.settings.change import Writer

    return Writer(
        hub=hub(),
        config=options.config(),
        file=SpaceFile(options.config_path, options.environment),
        say=options.output.say,
        agree=lambda: confirm(options, "Go on?"),
        show=options.output.waiting,
        save=how.save,
        wait=not how.no_wait,
        dry_run=how.dry_run,
    )
