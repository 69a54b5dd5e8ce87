"""Commands that bring a version to the Hub: plan, deploy."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ops.cli.context import Globals, hub, pass_globals
from ops.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.plan import Plan


@click.command()
@click.option("--adopt", is_flag=True, help="Replace a Space that embedding-space did not make.")
@click.option("--dry-run", is_flag=True, help="Show the plan, touch nothing.")
@pass_globals
def deploy(options: Globals, *, adopt: bool, dry_run: bool) -> None:
    """Create or update the Space on the Hub and prove it.

    Shows what `ops plan` shows, asks, and does exactly that; what is right already is not touched.
    Takes the token of HF_TOKEN or of `hf auth login`. A proven version is tagged as a release;
    when a new version does not work, the release before it is put back.

    \b
    Examples: ops deploy
              ops --env staging --yes deploy
    """
    config = options.config()
    target = hub()
    from ops import deploy as verb
    from ops.adapters.git_checkout import source_commit
    from ops.pin import pinned

    def approve(found: Plan) -> None:
        for line in lines(found):
            options.output.say(line)
        if dry_run:
            raise _Looked
        if not options.yes and sys.stdin.isatty():
            question = f"Deploy {found.repo_id} to {target.endpoint}?"
            click.confirm(question, abort=True, err=True)

    request = verb.Request(
        pinned(config, target),
        options.secret_reader().read(config.secrets),
        source_commit=source_commit(),
        adopt=adopt,
    )
    from ops.output import report_data
    from ops.plan import lines

    try:
        deployed = verb.deploy(
            target,
            request,
            say=options.output.say,
            on_check=options.output.check,
            approve=approve,
        )
    except _Looked:
        options.output.result("Nothing was touched: --dry-run.", {"dry_run": True})
        return
    report = report_data(deployed.report) if deployed.report is not None else None
    options.output.result(
        f"{deployed.release} of {deployed.repo_id} is proven: {deployed.url}",
        {**asdict(deployed), "report": report},
    )


class _Looked(Exception):
    """The plan was shown, and that was all."""


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit 3 when there is something to do.")
@click.option("--markdown", is_flag=True, help="As a comment for a pull request.")
@pass_globals
def plan(options: Globals, *, exit_code: bool, markdown: bool) -> None:
    """Show what deploy would change on the Hub, and change nothing.

    Files with their diffs, settings, secrets by name (whether one changed is known on the machine
    that wrote it), what it means for stored vectors, and the cost of a month.

    \b
    Examples: ops plan
              ops --env staging plan --exit-code
    """
    config = options.config()
    target = hub()
    from ops import plan as verb
    from ops.pin import pinned
    from ops.render import render
    from ops.written import Written

    config = pinned(config, target)
    repo_id = target.full_name(config.space.repo_id)
    found = verb.make_plan(
        target,
        repo_id,
        config,
        render(config),
        options.secret_reader().read(config.secrets),
        Written(f"{target.endpoint} {repo_id}"),
    )
    text = verb.markdown(found) if markdown else "\n".join(_page(found))
    options.output.result(text, found.data())
    if found and exit_code:
        raise SystemExit(Exit.CHANGES)


def _page(found: Plan) -> Iterator[str]:
    """The plan, then the diffs of what is there already."""
    from ops.plan import lines

    yield from lines(found)
    if found.live is not None:
        for file in found.files:
            yield f"\n{file.diff}".rstrip("\n")
