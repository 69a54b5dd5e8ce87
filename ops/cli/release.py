"""Commands that bring a version to the Hub, or an earlier one back."""

from __future__ import annotations

import os
import pathlib
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Literal

import click

from ops.cli.context import UNTOUCHED, Globals, confirm, dry_run, hub, pass_globals
from ops.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.apply import Applied
    from ops.plan import Plan
    from ops.releases import Release


@click.command()
@click.option("--adopt", is_flag=True, help="Replace a Space that embedding-space did not make.")
@click.option("--new-vectors", is_flag=True, help="Take other vectors than the last release's.")
@click.option(
    "--via",
    type=click.Choice(["api", "git"]),
    default="api",
    show_default=True,
    help="What makes the commit: the Hub's API, or a push by git.",
)
@dry_run
@pass_globals
def deploy(
    options: Globals,
    *,
    adopt: bool,
    new_vectors: bool,
    via: Literal["api", "git"],
    dry_run: bool,
) -> None:
    """Create or update the Space on the Hub and prove it.

    Shows what `ops plan` shows, asks, and does exactly that; what is right already is not touched.
    Takes the token of HF_TOKEN or of `hf auth login`. A proven version is tagged as a release;
    when a new version does not work, the release before it is put back.

    Stops when a file or a variable holds a key or a secret's value, and shows with the plan what
    might be one. What only looks like one is listed in space.toml: not_secret in [space].

    \b
    Examples: ops deploy
              ops --env staging --yes deploy
    """
    config = options.config()
    target = hub()
    from ops import deploy as verb
    from ops.adapters.git_checkout import source_commit
    from ops.pin import pinned

    request = verb.Request(
        pinned(config, target),
        options.secret_reader().read(config.secrets),
        source_commit=source_commit(),
        adopt=adopt,
        new_vectors=new_vectors,
        via=via,
    )

    def approve(found: Plan) -> None:
        _approve(options, found, f"Deploy {found.repo_id} to {target.endpoint}?", dry_run=dry_run)

    _prove(options, partial(verb.deploy, target, request, approve=approve))


@click.command()
@click.argument("number", type=click.IntRange(min=1), required=False)
@dry_run
@pass_globals
def rollback(options: Globals, number: int | None, *, dry_run: bool) -> None:
    """Put an earlier release back, files and settings, and prove it.

    Without a number it is the last release where the Space is no longer what that was, else the one
    before. It becomes a release of its own, so nothing is lost. Secrets stay as they are now.

    \b
    Examples: ops rollback
              ops rollback 3
    """
    config = options.config()
    target = hub()
    from ops import rollback as verb
    from ops.adapters.git_checkout import source_commit
    from ops.app_keys import first_key
    from ops.config import API_KEYS

    keys = {name: source for name, source in config.secrets.items() if name == API_KEYS}
    request = verb.Request(
        config.space.repo_id,
        number,
        app_key=first_key(options.secret_reader().read(keys)) or os.environ.get("EMBED_API_KEY"),
        source_commit=source_commit(),
    )

    def approve(found: Plan, release: Release) -> None:
        question = f"Put {release.name} of {found.repo_id} back?"
        _approve(options, found, question, dry_run=dry_run)

    _prove(options, partial(verb.rollback, target, request, approve=approve))


@click.command()
@pass_globals
def releases(options: Globals) -> None:
    """List the proven versions of the Space, the newest first.

    When, commit, model, fingerprint of its vectors, and the time of a short query then. `ops
    rollback N` puts one back. With --json also the settings of each.

    \b
    Example: ops releases
    """
    from ops import releases as verb

    found = verb.listed(hub(), options.config().space.repo_id)
    options.output.result("\n".join(verb.lines(found)), found.data())


def _approve(options: Globals, found: Plan, question: str, *, dry_run: bool) -> None:
    """Show a plan, and ask; raises to leave everything as it is."""
    from ops.plan import lines

    for line in lines(found):
        options.output.say(line)
    if dry_run:
        raise _Looked(found)
    confirm(options, question)


def _prove(options: Globals, verb: Callable[..., Applied]) -> None:
    """Have a Space made what a plan says, shown as it goes; print what came of it."""
    from ops.output import report_data

    output = options.output
    try:
        applied = verb(say=output.say, show=output.waiting, on_check=output.check)
    except _Looked as looked:
        output.result(UNTOUCHED, {"dry_run": True, "plan": looked.plan.data()})
        return
    report = report_data(applied.report) if applied.report is not None else None
    output.result(
        f"{applied.release} of {applied.repo_id} is proven: {applied.url}",
        {**asdict(applied), "report": report},
    )


class _Looked(Exception):
    """The plan was shown, and that was all."""

    def __init__(self, plan: Plan):
        super().__init__()
        self.plan = plan


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit 3 when there is something to do.")
@click.option("--markdown", is_flag=True, help="As a comment for a pull request.")
@pass_globals
def plan(options: Globals, *, exit_code: bool, markdown: bool) -> None:
    """Show what deploy would change on the Hub, and change nothing.

    Files with their diffs, settings, secrets by name (whether one changed is known on the machine
    that wrote it), what was changed by hand on the Hub since the last release, what it means for
    stored vectors, and the cost of a month.

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
    secrets = options.secret_reader().read(config.secrets)
    wanted = verb.of_config(config, render(config), secrets)
    found = verb.make_plan(target, repo_id, wanted, Written(f"{target.endpoint} {repo_id}"))
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


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=pathlib.Path))
@dry_run
@pass_globals
def clone(options: Globals, folder: pathlib.Path, *, dry_run: bool) -> None:
    """Make a git working copy of the Space, with its history and releases.

    DIR is new or empty. The token that clones is not kept in it: git asks for one when you pull or
    push, unless `hf auth login --add-to-git-credential` has given it one. What you push is built
    and runs at once, unproven; when the Hub has commits that you have not, git refuses to push.

    \b
    Examples: ops clone my-space
              ops --env staging clone my-staging-space
    """
    target = hub()
    from ops import clone as verb

    done = verb.clone(
        target,
        options.config().space.repo_id,
        folder,
        say=options.output.say,
        dry_run=dry_run,
    )
    text = UNTOUCHED if dry_run else f"{done.repo_id} is in {folder}."
    options.output.result(text, {**asdict(done), "dry_run": dry_run})
