"""What every command is given: the options before it, and what it finds by them."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ops.errors import ConfigError, NotAllowed, OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ops.adapters.hf_hub import Hub
    from ops.config import Config
    from ops.output import Output
    from ops.probe import Access
    from ops.secret_values import SecretReader


INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 + SIGINT, as shells have it."""


@dataclass(frozen=True)
class Globals:
    """The options that come before the command."""

    config_path: Path
    environment: str | None
    output: Output
    yes: bool

    def config(self) -> Config:
        """space.toml with the chosen environment."""
        from ops import config_file

        return config_file.load(self.config_path, self.environment)

    def secret_reader(self) -> SecretReader:
        """Resolves secrets beside space.toml; asks on a terminal only."""
        from ops.secret_values import SecretReader

        def ask(name: str) -> str:
            return str(click.prompt(name, hide_input=True, err=True))

        terminal = sys.stdin.isatty()
        return SecretReader(self.config_path.parent, os.environ, ask if terminal else None)


pass_globals = click.make_pass_decorator(Globals)

dry_run = click.option("--dry-run", is_flag=True, help="Say what would happen, touch nothing.")

UNTOUCHED = "Nothing was touched: --dry-run."
"""The result of a dry run for people, after what would have happened."""


def confirm(options: Globals, question: str) -> None:
    """Ask, unless --yes was given; a no ends the command.

    Raises:
        ConfigError: there is nobody to ask.
    """
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            "Nothing was touched: without a terminal there is nobody to ask.",
            next_step="Look at what --dry-run shows, then say yes beforehand: ops --yes ...",
        )
    click.confirm(question, abort=True, err=True)


def hub() -> Hub:
    """The Hub of HF_ENDPOINT with the user's token; raises NotAllowed when there is none."""
    from ops.adapters.hf_environment import default_endpoint, stored_token
    from ops.adapters.hf_hub import Hub

    token = stored_token()
    if token is None:
        raise NotAllowed(
            "There is no Hugging Face token: set HF_TOKEN to one with the role write.",
            next_step="Make one on https://huggingface.co/settings/tokens; "
            "ops rehearse needs none.",
        )
    return Hub(default_endpoint(), token)


def access_to(url: str) -> Access:
    """What this user's environment has to open a server that is given by its URL."""
    from ops.adapters.hf_environment import stored_token
    from ops.probe import Access, is_space_or_local, shows_itself

    opened_by_token = is_space_or_local(url) and not shows_itself(url)
    return Access(
        hub_token=stored_token() if opened_by_token else None,
        app_key=os.environ.get("EMBED_API_KEY") or None,
    )


def stage_of(options: Globals, url: str) -> Callable[[], None]:
    """What raises when a server that doesn't answer is space.toml's Space, and paused or broken."""
    from ops.answering import still_running_at

    return still_running_at(url, lambda: (hub(), options.config().space.repo_id))


@contextmanager
def explained_by_stage(options: Globals, url: str) -> Iterator[None]:
    """What a server at `url` fails with is told by its Space's stage, where that explains it."""
    try:
        yield
    except OpsError:
        stage_of(options, url)()
        raise


@contextmanager
def until_interrupted() -> Iterator[None]:
    """What has no end of its own: Ctrl-C ends it, and there is nothing to say about that."""
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turns a missing library into the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed.",
            next_step=f"pip install 'embedding-space[{extra}]'",
        ) from error
