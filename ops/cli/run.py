"""Commands for a Space that is on the Hub: status."""

from __future__ import annotations

import click

from ops.cli.context import Globals, hub, pass_globals


@click.command()
@pass_globals
def status(options: Globals) -> None:
    """Show what the Space is doing, and whether it answers.

    Exits 0 only when it runs the newest commit and is healthy.

    \b
    Example: ops status
    """
    from ops import status as verb
    from ops.probe import Access

    config = options.config()
    target = hub()
    found = verb.status(target, config.space.repo_id, Access(hub_token=target.token))
    options.output.status(found)
    if found.exit_code:
        raise SystemExit(found.exit_code)
