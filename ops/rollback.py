"""`ops rollback`: an earlier release's files and settings, as a new release.

Proven as a deploy is, by `ops.apply`. Secrets are left as they are, since the Hub tells no values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops import releases
from ops.apply import Applied, Job, carry_out
from ops.find_space import find_space
from ops.plan import make_plan, of_release
from ops.watch import Patience
from ops.written import Written, default_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ops.adapters.hf_hub import Hub
    from ops.plan import Live, Plan
    from ops.releases import Release
    from ops.runner import Log
    from ops.smoke_test import OnCheck
    from ops.watch import Show


@dataclass(frozen=True)
class Request:
    """Which Space, and back to which release: by default the last one, or the one before it.

    The last one where the Space is no longer what that was; otherwise the one before.
    """

    repo_id: str
    number: int | None = None
    app_key: str | None = field(default=None, repr=False)
    source_commit: str | None = None
    patience: Patience = field(default_factory=Patience)
    state_file: Path = field(default_factory=default_path)


def rollback(
    hub: Hub,
    request: Request,
    *,
    say: Log,
    on_check: OnCheck,
    approve: Callable[[Plan, Release], None] = lambda *_: None,
    show: Show | None = None,
) -> Applied:
    """Make the Space what it was, and prove it.

    `approve` is shown what would change before anything is touched, and raises to leave it so.

    Raises:
        ConfigError: there is no such Space, or no such release.
        BuildFailed, SpaceConfigError, Unhealthy, TimedOut: that release does not work any more;
            the last one was put back.
        Conflict: somebody else changed the Space meanwhile.
    """
    space = find_space(hub, request.repo_id)
    repo_id = space.repo_id
    written = Written(f"{hub.endpoint} {repo_id}", request.state_file, say)
    release, plan = _target(hub, repo_id, request.number, written)
    if not plan:
        say(f"Nothing to do: {repo_id} is {release.name} already.")
        return Applied(repo_id, space.url, space.commit, release.name, pushed=False, report=None)
    say(f"{repo_id} on {hub.endpoint}: back to {release.name} ({release.commit[:8]})")
    for line in _not_restored(release, plan.live):
        say(line)
    approve(plan, release)
    job = Job(
        title=f"Go back to {release.name}",
        written=written,
        commit=hub.commit,
        toolkit_commit=request.source_commit,
        app_key=request.app_key,
        patience=request.patience,
        restores=release.restores or release.number,
        any_vectors=True,
    )
    return carry_out(hub, plan, job, say=say, on_check=on_check, show=show)


def _target(hub: Hub, repo_id: str, number: int | None, written: Written) -> tuple[Release, Plan]:
    """The release to go back to, and what that changes."""
    found = releases.read(hub, repo_id)

    def plan_of(release: Release) -> Plan:
        return make_plan(hub, repo_id, of_release(hub, repo_id, release), written, diffs=False)

    if number is None and found.last is not None:
        plan = plan_of(found.last)
        if plan.files or plan.settings or plan.unproven:
            return found.last, plan
    release = found.before_last() if number is None else found.find(number)
    return release, plan_of(release)


def _not_restored(release: Release, live: Live | None) -> Iterator[str]:
    """What stays as it is, a line each."""
    if release.record is None or live is None:
        yield f"No record of the settings of {release.name} is kept: they stay as they are"
        return
    then = release.record.settings.secrets
    for name in sorted(then.keys() - live.secrets.keys()):
        yield (
            f"{release.name} had a secret {name}, which is not set now: "
            f"ops settings secrets set {name}"
        )
    for name in sorted(live.secrets.keys() - then.keys()):
        yield f"The secret {name} was not there at {release.name}; it stays"
    for name in sorted(then.keys() & live.secrets.keys()):
        if then[name] != live.secrets[name]:
            yield f"The secret {name} was set anew since {release.name}; it stays as it is now"
