"""The command line: parses, calls one function of a verb, prints. Only here is Click used.

A module for each group of commands; `context` is what all of them get.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ops import __version__
from ops.cli import author, hub, local, named, release, run, settings, use
from ops.cli.context import INTERRUPTED, Globals
from ops.errors import ConfigError, OpsError
from ops.redaction import hide, hide_value
from ops.safe_text import guard_output

if TYPE_CHECKING:
    from types import FrameType


class _Cli(click.Group):
    """The group of all commands: the one place where a failure becomes text and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OpsError as error:
            _fail(ctx, error, error)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except click.UsageError as raised:
            misuse = _placed(ctx, raised)
            if not ctx.params["as_json"]:
                raise misuse from None
            next_step = f"{misuse.ctx.command_path} --help" if misuse.ctx is not None else None
            _fail(ctx, ConfigError(misuse.format_message(), next_step=next_step), misuse)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 -- a mistake in ops is a failure like any other
            _fail(ctx, _unexpected(error), error)


def _placed(ctx: click.Context, error: click.UsageError) -> click.UsageError:
    """The same, with where an option goes: `ops deploy --yes` is what everybody types first."""
    own = {name for option in ctx.command.params for name in option.opts}
    if not isinstance(error, click.NoSuchOption) or error.option_name not in own:
        return error
    message = f"{error.message} It goes before the command: ops {error.option_name} ..."
    return click.NoSuchOption(error.option_name, message, error.possibilities, error.ctx)


def _fail(ctx: click.Context, error: OpsError, raised: Exception) -> NoReturn:
    from ops.output import Output

    try:
        Output(as_json=ctx.params["as_json"]).error(error)
    except BrokenPipeError:
        raise
    except OSError:  # stdout takes nothing any more, as a file on a full disk
        Output().error(error)
    if ctx.params["verbose"]:
        traceback.print_exception(raised)
    ctx.exit(error.exit_code)


def _unexpected(error: Exception) -> OpsError:
    if isinstance(error, OSError):
        return OpsError(
            f"This machine refused something: {error}.",
            next_step="Mend that, and run it again; ops -v ... shows where it was.",
        )
    return OpsError(
        f"Unexpected: {type(error).__name__}: {error}",
        cause="This is most likely a mistake in ops.",
        next_step="Run it again as ops -v ..., and report the traceback.",
    )


@click.group(
    cls=_Cli,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: ops init my-embeddings, then ops rehearse, then ops deploy.",
)
@click.version_option(__version__, prog_name="ops")
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("space.toml"),
    show_default=True,
    help="What the Space should be.",
)
@click.option("--env", "environment", metavar="NAME", help="An environment of space.toml.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
@click.option("-v", "--verbose", is_flag=True, help="Whole logs, and tracebacks of failures.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.pass_context
def cli(
    context: click.Context,
    config_path: Path,
    environment: str | None,
    *,
    as_json: bool,
    verbose: bool,
    yes: bool,
) -> None:
    """Put a text-embedding API on your own Hugging Face Space, prove it, keep it working.

    Exit codes: 0 done, 1 unexpected, 2 usage or config, 3 changes found, 4 build failed,
    5 Space configuration, 6 unhealthy, 7 timed out, 8 paused or sleeping, 9 not allowed,
    10 conflict.
    """
    from ops.output import Output
    from ops.secret_values import hide_secrets_of

    hide_secrets_of(config_path, os.environ)
    output = Output(as_json=as_json, verbose=verbose)
    context.obj = Globals(config_path, environment, output, yes)


for _command in (
    author.init,
    author.config,
    author.render,
    author.doctor,
    local.build,
    local.smoke_test,
    hub.hub,
    local.rehearse,
    local.bench,
    release.plan,
    release.deploy,
    release.releases,
    release.rollback,
    release.clone,
    run.status,
    run.logs,
    run.restart,
    run.pause,
    run.wake,
    run.open_,
    run.destroy,
    settings.settings,
    use.connect,
):
    cli.add_command(_command)


for _command in (named.secrets, named.variables):
    settings.settings.add_command(_command)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _open_streams() -> None:
    """A standard stream that whoever started us has closed is as one of nothing."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115 -- as long as there is a process
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # what keeps it open when it is wrapped


def _hide_secrets_of_this_machine() -> None:
    """Before anything is printed; those of space.toml follow as soon as it is known which."""
    from ops.adapters.hf_token_files import tokens_here

    for token in tokens_here():
        hide(token)
    for name in ("EMBED_API_KEY", "EMBED_API_KEYS"):
        hide_value(name, os.environ.get(name))


def main() -> None:
    """Run the command line; a SIGTERM cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _interrupt)
    _open_streams()
    guard_output()
    _hide_secrets_of_this_machine()
    cli(prog_name="ops")
