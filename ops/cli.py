"""The command line: parses, calls one function of a verb, prints. The only Click file."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import traceback
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ops import __version__
from ops.errors import ConfigError, Exit, NotAllowed, OpsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from ops.adapters.hf_hub import Hub
    from ops.config import Config
    from ops.output import Output
    from ops.rehearse import Rehearsed
    from ops.runner import Image, Runner
    from ops.secret_values import SecretReader
    from ops.smoke_test import Report

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


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


_pass_globals = click.make_pass_decorator(Globals)


class _Cli(click.Group):
    """The group of all commands: the one place where a failure becomes text and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OpsError as error:
            output: Output = ctx.obj.output
            output.error(error)
            if output.verbose:
                traceback.print_exception(error)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


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

    output = Output(as_json=as_json, verbose=verbose)
    context.obj = Globals(config_path, environment, output, yes)


# --- author ------------------------------------------------------------------------------------


@cli.command()
@click.argument("repo_id", metavar="NAME")
@_pass_globals
def init(options: Globals, repo_id: str) -> None:
    """Write a commented space.toml for a Space called NAME.

    \b
    Example: ops init my-embeddings
    """
    from ops.init import init as write_config

    write_config(options.config_path, repo_id)
    text = f"Wrote {options.config_path}. Next: ops rehearse, then ops deploy."
    options.output.result(text, {"path": str(options.config_path), "repo_id": repo_id})


@cli.group()
def config() -> None:
    """Look at space.toml.

    \b
    Example: ops --env staging config show
    """


@config.command("show")
@_pass_globals
def config_show(options: Globals) -> None:
    """Show every key with the value in force, defaults included.

    \b
    Example: ops config show
    """
    data = options.config().model_dump(mode="json")
    options.output.result(json.dumps(data, indent=2, ensure_ascii=False), data)


@config.command("validate")
@_pass_globals
def config_validate(options: Globals) -> None:
    """Check space.toml and each of its environments.

    \b
    Example: ops config validate
    """
    from ops import config_file

    names: tuple[str | None, ...] = (None, *config_file.environments(options.config_path))
    if options.environment is not None:
        names = (options.environment,)
    for name in names:
        config_file.load(options.config_path, name)
    found = [name or "default" for name in names]
    options.output.result(
        f"{options.config_path} is valid: {', '.join(found)}.",
        {"valid": True, "environments": found},
    )


@config.command("schema")
@_pass_globals
def config_schema(options: Globals) -> None:
    """Print the JSON Schema of space.toml, for editors.

    \b
    Example: ops config schema > space.schema.json
    """
    from ops import config_file

    schema = config_file.json_schema()
    options.output.result(json.dumps(schema, indent=2, ensure_ascii=False), schema)


@cli.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/space"),
    show_default=True,
    help="The folder to write to, or to compare with.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 3 when the folder differs.")
@_pass_globals
def render(options: Globals, out: Path, *, check: bool) -> None:
    """Render the Space's repository from space.toml.

    \b
    Examples: ops render --out build/space
              ops render --out build/space --check
    """
    from ops import render as verb

    tree = verb.render(options.config())
    if not check:
        written = verb.write(tree, out)
        text = f"{out}: {len(tree)} files, {len(written)} of them new or changed."
        options.output.result(text, {"folder": str(out), "files": list(tree), "written": written})
        return
    difference = verb.compare(tree, out)
    lines = [f"  {kind}: {p}" for kind, paths in asdict(difference).items() for p in paths]
    text = "\n".join([f"{out} differs from space.toml and the templates:", *lines])
    options.output.result(text if difference else f"{out} is up to date.", asdict(difference))
    if difference:
        raise SystemExit(Exit.CHANGES)


# --- local -------------------------------------------------------------------------------------

_runner = click.option(
    "--runner",
    "runner_name",
    type=click.Choice(["auto", "docker", "process"]),
    default="auto",
    show_default=True,
    help="Docker, or local processes; auto takes Docker where it works.",
)
_mirrors = click.option(
    "--mirror",
    "mirrors",
    metavar="ID=DIR",
    multiple=True,
    callback=lambda _context, _option, values: _parse_mirrors(values),
    help="Serve a local folder as this model of the Hub, instead of downloading it.",
)
_build_args = click.option(
    "--build-arg",
    "build_args",
    metavar="NAME=VALUE",
    multiple=True,
    callback=lambda _context, _option, values: dict(_pair(v, "--build-arg") for v in values),
    help="An ARG of the Dockerfile, such as TORCH_INDEX.",
)


@cli.command()
@_runner
@_mirrors
@_build_args
@_pass_globals
def build(
    options: Globals, runner_name: Any, mirrors: dict[str, Path], build_args: dict[str, str]
) -> None:
    """Build the Space here, as the Hub would.

    \b
    Examples: ops build
              ops build --mirror BAAI/bge-base-en-v1.5=models/bge
    """
    config = options.config()
    runner = _choose_runner(options, runner_name, config)
    image = _build(options, runner, config, mirrors, build_args)
    options.output.result(
        f"Built {image.reference}: {image.size_bytes / 1e6:.0f} MB.",
        {"runner": runner.name, **asdict(image)},
    )


@cli.command("smoke-test")
@click.option("--image", metavar="TAG", help="An image that is built already.")
@click.option("--url", help="A server that runs already, such as a Space.")
@click.option("--process", is_flag=True, help="Build and start without Docker.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML.")
@click.option(
    "--start-limit",
    type=click.FloatRange(min=1),
    default=180,
    show_default=True,
    help="Seconds until it must be healthy.",
)
@_mirrors
@_build_args
@_pass_globals
def smoke_test(
    options: Globals,
    image: str | None,
    url: str | None,
    junit: Path | None,
    start_limit: float,
    mirrors: dict[str, Path],
    build_args: dict[str, str],
    *,
    process: bool,
) -> None:
    """Prove a server from outside: contracts, limits, errors, speed.

    Without --image, --url or --process, the Space is built by Docker, started under the rules of
    its hardware, proven and removed. With --url, the token of HF_TOKEN or `hf auth login` opens a
    private Space (it is sent to *.hf.space and loopback only), EMBED_API_KEY is the app's own key.

    \b
    Examples: ops smoke-test
              ops smoke-test --process
              ops smoke-test --url https://me-my-embeddings.hf.space
    """
    if sum((image is not None, url is not None, process)) > 1:
        raise click.UsageError("--image, --url and --process exclude each other.")
    if url is not None:
        report = _smoke_test_url(options, url, start_limit)
    else:
        report = _smoke_test_here(options, image, start_limit, mirrors, build_args, process=process)
    if junit is not None:
        from ops.junit import junit_xml

        junit.write_text(junit_xml(report), encoding="utf-8")
    options.output.report(report)
    if report.failed and options.output.as_json:
        raise SystemExit(Exit.UNHEALTHY)
    report.require_passed()


@cli.group()
def hub() -> None:
    """Run a Hugging Face Hub on this machine.

    \b
    Example: ops hub serve
    """


@hub.command("serve")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7850,
    show_default=True,
    help="Where it listens; 0 for any free port.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/hub"),
    show_default=True,
    help="Where it keeps repositories.",
)
@_runner
@_mirrors
@_pass_globals
def hub_serve(
    options: Globals, port: int, data: Path, runner_name: Any, mirrors: dict[str, Path]
) -> None:
    """Serve Spaces and models to the real client, until Ctrl-C.

    What is pushed to it is really built and run: by Docker where that works, else as processes.

    \b
    Examples: ops hub serve
              ops hub serve --mirror BAAI/bge-base-en-v1.5=models/bge
    """
    with _needs_extra("hub"):
        from ops.hub import LocalHub

    runner = _choose_runner(options, runner_name, None)
    with LocalHub(data, runner, mirrors=mirrors, port=port) as local:
        options.output.result(
            f"export HF_ENDPOINT={local.endpoint}\n"
            f'export HF_TOKEN="$(cat {shlex.quote(str(local.token_file))})"',
            {"endpoint": local.endpoint, "token_file": str(local.token_file)},
        )
        options.output.say("Ctrl-C ends it and everything it runs.")
        _wait_for_interrupt()


@cli.command()
@click.option("--once", is_flag=True, help="End when everything has passed.")
@_runner
@_mirrors
@_pass_globals
def rehearse(options: Globals, runner_name: Any, mirrors: dict[str, Path], *, once: bool) -> None:
    """Do all of deploy against a Hub on this machine.

    Needs no account and no token. Leaves a private Space on loopback to try, until Ctrl-C.

    \b
    Examples: ops rehearse
              ops rehearse --once --mirror BAAI/bge-base-en-v1.5=models/bge
    """
    with _needs_extra("hub"):
        from ops import rehearse as verb

    config = options.config()
    runner = _choose_runner(options, runner_name, config)
    with verb.rehearse(
        config, runner, options.secret_reader(), mirrors=mirrors, output=options.output
    ) as rehearsed:
        options.output.report(rehearsed.deployed.report)
        options.output.say(
            f"Rehearsed in {rehearsed.seconds:.0f} s: {rehearsed.deployed.release} of "
            f"{rehearsed.deployed.repo_id} is proven."
        )
        if once:
            return
        options.output.say(f"A private Space at {rehearsed.deployed.url}, until Ctrl-C. Try:")
        options.output.say(_curl(rehearsed))
        _wait_for_interrupt()


# --- release -----------------------------------------------------------------------------------


@cli.command()
@click.option("--adopt", is_flag=True, help="Replace a Space that embedding-space did not make.")
@_pass_globals
def deploy(options: Globals, *, adopt: bool) -> None:
    """Create or update the Space on the Hub and prove it.

    Takes the token of HF_TOKEN or of `hf auth login`. A proven version is tagged as a release;
    when a new version does not work, the release before it is put back.

    \b
    Examples: ops deploy
              ops --env staging --yes deploy
    """
    config = options.config()
    hub = _hub()
    from ops import deploy as verb
    from ops.adapters.git_checkout import source_commit
    from ops.pin import pinned

    if not options.yes and sys.stdin.isatty():
        click.confirm(f"Deploy {config.space.repo_id} to {hub.endpoint}?", abort=True, err=True)
    request = verb.Request(
        pinned(config, hub),
        options.secret_reader().read(config.secrets),
        source_commit=source_commit(),
        adopt=adopt,
    )
    deployed = verb.deploy(hub, request, say=options.output.say, on_check=options.output.check)
    from ops.output import report_data

    options.output.result(
        f"{deployed.release} of {deployed.repo_id} is proven: {deployed.url}",
        {**asdict(deployed), "report": report_data(deployed.report)},
    )


# --- run ---------------------------------------------------------------------------------------


@cli.command()
@_pass_globals
def status(options: Globals) -> None:
    """Show what the Space is doing, and whether it answers.

    Exits 0 only when it runs the newest commit and is healthy.

    \b
    Example: ops status
    """
    from ops import status as verb
    from ops.probe import Access

    config = options.config()
    hub = _hub()
    found = verb.status(hub, config.space.repo_id, Access(hub_token=hub.token))
    options.output.status(found)
    if found.exit_code:
        raise SystemExit(found.exit_code)


# --- what several commands need ----------------------------------------------------------------


def _hub() -> Hub:
    """The Hub of HF_ENDPOINT with the user's token; raises NotAllowed when there is none."""
    from ops.adapters import hf_hub

    token = hf_hub.stored_token()
    if token is None:
        raise NotAllowed(
            "There is no Hugging Face token: set HF_TOKEN to one with the role write.",
            next_step="Make one on https://huggingface.co/settings/tokens; "
            "ops rehearse needs none.",
        )
    return hf_hub.Hub(hf_hub.default_endpoint(), token)


def _choose_runner(options: Globals, name: Any, config: Config | None) -> Runner:
    from ops import build as verb

    with options.output.working("Looking for Docker") as log:
        return verb.choose_runner(name, config, say=options.output.say, log=log)


def _build(
    options: Globals,
    runner: Runner,
    config: Config,
    mirrors: dict[str, Path],
    build_args: dict[str, str],
) -> Image:
    from ops.adapters.hf_hub import Hub, default_endpoint
    from ops.build import build as build_image
    from ops.pin import pinned

    with _mirror_endpoint(runner, mirrors) as endpoint:
        config = pinned(config, Hub(endpoint or default_endpoint(), None))
        own = {"HF_ENDPOINT": endpoint} if endpoint else {}
        with options.output.working(f"Building by {runner.name}") as log:
            return build_image(runner, config, build_args={**own, **build_args}, log=log)


@contextmanager
def _mirror_endpoint(runner: Runner, mirrors: dict[str, Path]) -> Iterator[str | None]:
    """A local Hub that serves the mirrors while something is built; None without any."""
    if not mirrors:
        yield None
        return
    from tempfile import TemporaryDirectory

    with _needs_extra("hub"):
        from ops.hub import LocalHub

    with (
        TemporaryDirectory(prefix="embedding-space-hub-") as data,
        LocalHub(Path(data), runner, mirrors=mirrors) as local,
    ):
        yield local.endpoint


def _smoke_test_url(options: Globals, url: str, limit: float) -> Report:
    from ops import smoke_test as verb
    from ops.adapters.hf_hub import stored_token
    from ops.probe import Access, is_space_or_local

    access = Access(
        hub_token=stored_token() if is_space_or_local(url) else None,
        app_key=os.environ.get("EMBED_API_KEY"),
    )
    return verb.smoke_test_url(url, access, on_check=options.output.check, limit=limit)


def _smoke_test_here(
    options: Globals,
    tag: str | None,
    start_limit: float,
    mirrors: dict[str, Path],
    build_args: dict[str, str],
    *,
    process: bool,
) -> Report:
    from ops import smoke_test as verb
    from ops.runner import Image

    config = options.config()
    runner = _choose_runner(options, "process" if process else "docker", config)
    if tag is not None:
        image = Image(tag, 0)
    else:
        image = _build(options, runner, config, mirrors, build_args)
    with options.output.working("Smoke test") as log:
        return verb.smoke_test_image(
            runner,
            image,
            environment=config.variables,
            log=log,
            on_check=options.output.check,
            app_port=config.space.app_port,
            start_limit=start_limit,
        )


def _curl(rehearsed: Rehearsed) -> str:
    """A command to paste; tokens stay in their files."""

    def header(name: str, before: str, file: Path) -> str:
        return f'-H "{name}: {before}$(cat {shlex.quote(str(file))})" '

    own_key = header("X-API-Key", "", rehearsed.key_file) if rehearsed.key_file else ""
    return (
        f"curl {rehearsed.deployed.url}/embed -H 'Content-Type: application/json' "
        + header("X-HF-Authorization", "Bearer ", rehearsed.token_file)
        + own_key
        + """-d '{"text": "how do I reset my password?"}'"""
    )


def _wait_for_interrupt() -> None:
    """Return at Ctrl-C, so that whatever is up is taken down in order."""
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo("", err=True)


@contextmanager
def _needs_extra(extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed.",
            next_step=f"pip install 'embedding-space[{extra}]'",
        ) from error


def _parse_mirrors(values: tuple[str, ...]) -> dict[str, Path]:
    return {name: Path(folder) for name, folder in (_pair(v, "--mirror") for v in values)}


def _pair(value: str, option: str) -> tuple[str, str]:
    name, separator, rest = value.partition("=")
    if not (name and separator and rest):
        raise click.BadParameter(f"{value!r} is not of the form NAME=VALUE.", param_hint=option)
    return name, rest


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; a SIGTERM cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _interrupt)
    cli(prog_name="ops")
