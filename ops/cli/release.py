"""Commands that bring a version to the Hub: deploy."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from ops.cli.context import Globals, hub, pass_globals


@click.command()
@click.option("--adopt", is_flag=True, help="Replace a Space that embedding-space did not make.")
@pass_globals
def deploy(options: Globals, *, adopt: bool) -> None:
    """Create or update the Space on the Hub and prove it.

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

    if not options.yes and sys.stdin.isatty():
        click.confirm(f"Deploy {config.space.repo_id} to {target.endpoint}?", abort=True, err=True)
    request = verb.Request(
        pinned(config, target),
        options.secret_reader().read(config.secrets),
        source_commit=source_commit(),
        adopt=adopt,
    )
    deployed = verb.deploy(target, request, say=options.output.say, on_check=options.output.check)
    from ops.output import report_data

    options.output.result(
        f"{deployed.release} of {deployed.repo_id} is proven: {deployed.url}",
        {**asdict(deployed), "report": report_data(deployed.report)},
    )
