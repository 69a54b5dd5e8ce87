"""Commands for a Space that is on the Hub: status, logs, restart, pause, wake, open, destroy."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ops.cli.context import UNTOUCHED, Globals, dry_run, hub, pass_globals, until_interrupted
from ops.errors import ConfigError

if TYPE_CHECKING:
    from ops.adapters.hf_log import LogLine
    from ops.destroy import Doomed


@click.command()
@click.option("--watch", is_flag=True, help="Look every two seconds, until Ctrl-C.")
@pass_globals
def status(options: Globals, *, watch: bool) -> None:
    """Show what the Space is doing, and whether it answers.

    Exits 0 only when it runs and is healthy. What paid hardware has cost so far is counted from the
    first line of the app's log, as the Hub tells no time of start; the Hub's bill has earlier runs
    of the month too. Watched, it is drawn anew on a terminal; elsewhere
    only what changes is printed, with --json as one object a line.

    \b
    Examples: ops status
              ops status --watch
    """
    from ops import status as verb

    config = options.config()
    target = hub()
    if watch:
        with until_interrupted():
            options.output.watching(verb.statuses(target, config.space.repo_id))
        return
    found = verb.status(target, config.space.repo_id)
    options.output.status(found)
    if found.exit_code:
        raise SystemExit(found.exit_code)


def _parse_since(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> datetime | None:
    from ops.logs import moment

    try:
        return None if value is None else moment(value, datetime.now(UTC))
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is neither 30s, 10m, 2h or 1d nor a time such as 2026-11-28T05:40Z"
        ) from None


@click.command()
@click.option("--build/--run", "build", help="The log of the build, or of the app (the default).")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "last", type=click.IntRange(min=1), metavar="N", help="The last N lines only.")
@click.option(
    "--since",
    metavar="TIME",
    callback=_parse_since,
    help="Leave out what is older: 30s, 10m, 2h, 1d, or a time in ISO 8601 (local without a zone).",
)
@pass_globals
def logs(
    options: Globals, last: int | None, since: datetime | None, *, build: bool, follow: bool
) -> None:
    """Print the log of the app, or of its build.

    Plain lines, with --json an object a line. A lost connection is made anew, and no line comes
    twice. The Hub keeps the newest lines only.

    \b
    Examples: ops logs -n 50
              ops logs --build -f
              ops logs --since 10m
    """
    from ops import logs as verb

    repo_id = options.config().space.repo_id
    target = hub()

    def show(line: LogLine) -> None:
        options.output.line(line.text, {"time": line.time.isoformat(), "text": line.text})

    if not follow:
        for line in verb.logs(target, repo_id, build=build, last=last, since=since):
            show(line)
        return
    with until_interrupted():
        for line in verb.follow(
            target, repo_id, say=options.output.say, build=build, last=last, since=since
        ):
            show(line)


@click.command()
@click.option("--factory", is_flag=True, help="Build it anew, without any cache.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it answers.")
@dry_run
@pass_globals
def restart(options: Globals, *, factory: bool, no_wait: bool, dry_run: bool) -> None:
    """Start the Space again, and wait until it answers.

    It takes up its newest commit and settings; a paused one is started too. Exits 4, 5, 6, 7 or 8
    when it does not come up, 10 when somebody else commits meanwhile.

    \b
    Examples: ops restart
              ops restart --factory --no-wait
    """
    from ops import restart as verb

    config = options.config()
    done = verb.restart(
        hub(),
        config.space.repo_id,
        say=options.output.say,
        show=options.output.waiting,
        factory=factory,
        wait=not no_wait,
        dry_run=dry_run,
    )
    if dry_run:
        text = UNTOUCHED
    elif done.seconds is None:
        text = f"{done.repo_id} is being restarted; ops status shows what becomes of it."
    else:
        text = f"{done.repo_id} answers again after {done.seconds:.0f} s: {done.url}"
    options.output.result(text, _data(done, dry_run=dry_run))


@click.command()
@dry_run
@pass_globals
def pause(options: Globals, *, dry_run: bool) -> None:
    """Stop the Space, and what it costs, until `ops wake`.

    Unlike one that sleeps, a paused Space is not woken by a visit.

    \b
    Example: ops pause
    """
    from ops import pause as verb

    done = verb.pause(
        hub(), options.config().space.repo_id, say=options.output.say, dry_run=dry_run
    )
    text = UNTOUCHED if dry_run else f"{done.repo_id} is {done.stage_after}."
    options.output.result(text, _data(done, dry_run=dry_run))


@click.command()
@dry_run
@pass_globals
def wake(options: Globals, *, dry_run: bool) -> None:
    """Start a paused or sleeping Space, and wait until it answers.

    Ends when it runs its newest commit and is healthy. Exits 6 when it fails, 7 when it takes too
    long, 8 when it goes idle again, 10 when somebody else commits meanwhile.

    \b
    Example: ops wake
    """
    from ops import wake as verb

    done = verb.wake(
        hub(),
        options.config().space.repo_id,
        say=options.output.say,
        show=options.output.waiting,
        dry_run=dry_run,
    )
    text = UNTOUCHED
    if done.seconds is not None:
        text = f"{done.repo_id} answers after {done.seconds:.0f} s: {done.url}"
    options.output.result(text, _data(done, dry_run=dry_run))


@click.command("open")
@click.option("--app", is_flag=True, help="The app's own address, not its page on the Hub.")
@pass_globals
def open_(options: Globals, *, app: bool) -> None:
    """Open the Space's page in a browser.

    The address is printed too, which is all that happens where there is no browser to open.

    \b
    Examples: ops open
              ops open --app
    """
    from ops import open_space as verb

    found = verb.addresses(hub(), options.config().space.repo_id)
    url = found.app if app else found.page
    opened = _has_desktop() and _opens(url)
    options.output.result(url, {"repo_id": found.repo_id, "url": url, "opened": opened})


@click.command()
@click.option("--name", metavar="OWNER/NAME", help="The Space's full name, for use with --yes.")
@dry_run
@pass_globals
def destroy(options: Globals, name: str | None, *, dry_run: bool) -> None:
    """Remove the Space with its files, settings, secrets and releases.

    Nothing of it can be brought back. Shows what is lost, and wants the full name typed; where
    nobody can type, --yes with --name.

    \b
    Examples: ops destroy
              ops --yes destroy --name me/my-embeddings
    """
    from ops import destroy as verb

    target = hub()
    found = verb.doomed(target, options.config().space.repo_id)
    options.output.say(f"Lost for good, on {target.endpoint}:")
    for line in found.lines():
        options.output.say(line)
    if not dry_run:
        verb.destroy(target, found, named=_typed_name(options, name, found))
    text = UNTOUCHED if dry_run else f"{found.repo_id} is destroyed."
    options.output.result(text, _data(found, dry_run=dry_run) | {"destroyed": not dry_run})


def _typed_name(options: Globals, name: str | None, found: Doomed) -> str:
    """What somebody typed, or gave with --yes; whether it is right is for the verb to say."""
    if options.yes and name is not None:
        return name
    if options.yes or not sys.stdin.isatty():
        raise ConfigError(
            f"Nothing was touched: {found.repo_id} is destroyed by its full name only.",
            next_step=f"ops --yes destroy --name {found.repo_id}, or type it on a terminal.",
        )
    return str(click.prompt(f"Type {found.repo_id} to destroy it", err=True))


def _has_desktop() -> bool:
    """Whether a browser would be seen by whoever typed the command."""
    shown = sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return shown and sys.stdout.isatty()


def _opens(url: str) -> bool:
    """Whether a browser opens it, which is started without the secrets of our environment."""
    import subprocess

    from ops.child_environment import child_environment

    program = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"
    nothing = subprocess.DEVNULL
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, url],
        env=child_environment(desktop=True),
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        check=False,
    )
    return done.returncode == 0


def _data(done: Any, *, dry_run: bool) -> dict[str, Any]:
    return {**asdict(done), "dry_run": dry_run}
