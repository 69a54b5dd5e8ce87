"""Commands that need no account: build, smoke-test, rehearse, bench."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.cli.context import (
    Globals,
    access_to,
    explained_by_stage,
    needs_extra,
    pass_globals,
    stage_of,
)
from ops.cli.here import build_args, build_space, choose_runner, mirrors, runner, wait_for_interrupt
from ops.errors import ConfigError, Exit

if TYPE_CHECKING:
    from ops.rehearse import Rehearsed
    from ops.smoke_test import Report


@click.command()
@runner
@mirrors
@build_args
@pass_globals
def build(
    options: Globals, runner_name: Any, mirrors: dict[str, Path], build_args: dict[str, str]
) -> None:
    """Build the Space here, as the Hub would.

    \b
    Examples: ops build
              ops build --mirror BAAI/bge-base-en-v1.5=models/bge
    """
    config = options.config()
    runner = choose_runner(options, runner_name, config)
    image = build_space(options, runner, config, mirrors, build_args)
    options.output.result(
        f"Built {image.reference}: {image.size_bytes / 1e6:.0f} MB.",
        {"runner": runner.name, **asdict(image)},
    )


@click.command("smoke-test")
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
@mirrors
@build_args
@pass_globals
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
    private Space: it goes to *.hf.space and loopback only, and not where everybody sees the page.
    EMBED_API_KEY is the app's own key.

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
        _write_junit(junit, report)
    options.output.report(report)
    if report.failed and options.output.as_json:
        raise SystemExit(Exit.UNHEALTHY)
    report.require_passed()


@click.command()
@click.option("--once", is_flag=True, help="End when everything has passed.")
@runner
@mirrors
@pass_globals
def rehearse(options: Globals, runner_name: Any, mirrors: dict[str, Path], *, once: bool) -> None:
    """Do all of deploy against a Hub on this machine.

    Needs no account and no token. Leaves a private Space on loopback to try, until Ctrl-C.

    \b
    Examples: ops rehearse
              ops rehearse --once --mirror BAAI/bge-base-en-v1.5=models/bge
    """
    with needs_extra("hub"):
        from ops import rehearse as verb

    config = options.config()
    runner = choose_runner(options, runner_name, config)
    with verb.rehearse(
        config, runner, options.secret_reader(), mirrors=mirrors, output=options.output
    ) as rehearsed:
        if rehearsed.deployed.report is not None:
            options.output.report(rehearsed.deployed.report)
        options.output.say(
            f"Rehearsed in {rehearsed.seconds:.0f} s: {rehearsed.deployed.release} of "
            f"{rehearsed.deployed.repo_id} is proven."
        )
        if once:
            return
        options.output.say(f"A private Space at {rehearsed.deployed.url}, until Ctrl-C. Try:")
        options.output.say(_curl(rehearsed))
        options.output.say("Or any client that you have, here OpenAI's; `ops connect` lists them:")
        options.output.say(_connect(rehearsed))
        wait_for_interrupt()


@click.command()
@click.option("--url", required=True, help="A server that runs already, such as a Space.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=10,
    show_default=True,
    help="How long each part takes.",
)
@click.option(
    "--clients",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="How many ask at the same time.",
)
@click.option(
    "--bulk",
    type=click.IntRange(0, 2048),
    default=256,
    show_default=True,
    help="Texts in each request beside which queries are timed; 0 leaves that out.",
)
@pass_globals
def bench(options: Globals, url: str, seconds: float, clients: int, bulk: int) -> None:
    """Measure how fast a server answers, if it speaks OpenAI's API.

    Short queries one after another, then many clients with texts of mixed lengths, then queries
    beside a bulk load. The keys are those of smoke-test.

    \b
    Examples: ops bench --url http://127.0.0.1:7860
              ops bench --url https://me-my-embeddings.hf.space --clients 4 --seconds 30
    """
    from ops import bench as verb

    plan = verb.Plan(seconds=seconds, clients=clients, bulk=bulk)
    with explained_by_stage(options, url):
        benched = verb.bench(url, access_to(url), plan, options.output.say)
    options.output.benched(benched)


def _write_junit(path: Path, report: Report) -> None:
    from ops.junit import junit_xml

    try:
        path.write_text(junit_xml(report), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path} can't be written: {error.strerror}.",
            next_step="Make its folder, or name another file with --junit.",
        ) from error


def _smoke_test_url(options: Globals, url: str, limit: float) -> Report:
    from ops import smoke_test as verb

    return verb.smoke_test_url(
        url,
        access_to(url),
        on_check=options.output.check,
        limit=limit,
        still_running=stage_of(options, url),
    )


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
    runner = choose_runner(options, "process" if process else "docker", config)
    if tag is not None:
        image = Image(tag, 0)
    else:
        image = build_space(options, runner, config, mirrors, build_args)
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


def _connect(rehearsed: Rehearsed) -> str:
    """A command to paste, which tries a client; tokens stay in their files."""

    def variable(name: str, file: Path) -> str:
        return f'{name}="$(cat {shlex.quote(str(file))})" '

    own_key = variable("EMBED_API_KEY", rehearsed.key_file) if rehearsed.key_file else ""
    return (
        variable("HF_TOKEN", rehearsed.token_file)
        + own_key
        + f"ops connect openai --check --url {rehearsed.deployed.url}"
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
