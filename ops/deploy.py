"""`ops deploy`: space.toml -> a proven Space, or the release before it.

Preflight, apply, watch, prove, record; on failure after the push, roll back. Running it again
after any interruption continues from what the Hub holds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ops import __version__
from ops.errors import (
    BuildFailed,
    Conflict,
    NotAllowed,
    OpsError,
    SpaceConfigError,
    TimedOut,
    Unhealthy,
)
from ops.plan import described, make_plan, releases
from ops.probe import Access
from ops.render import render
from ops.smoke_test import OnCheck, Report, smoke_test_url
from ops.watch import Patience, wait_until_running
from ops.written import Written, default_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ops.adapters.hf_hub import Account, Hub, SpaceState
    from ops.config import Config, Visibility
    from ops.plan import Live, Plan, SettingChange
    from ops.render import Tree
    from ops.runner import Log

_MADE_BY_THE_HUB = frozenset({".gitattributes", "README.md"})
"""What a Space that was just created holds."""

_VISIBILITIES: dict[str, Visibility] = {
    "private": "private",
    "protected": "protected",
    "public": "public",
}
API_KEYS = "EMBED_API_KEYS"


@dataclass(frozen=True)
class Request:
    """What to deploy, and how."""

    config: Config
    secrets: Mapping[str, str] = field(repr=False)
    source_commit: str | None = None
    adopt: bool = False
    patience: Patience = field(default_factory=Patience)
    state_file: Path = field(default_factory=default_path)


@dataclass(frozen=True)
class Deployed:
    """A proven Space. `release` is its tag; `pushed` is False when the Hub had it all already.

    `report` is None when there was nothing to do.
    """

    repo_id: str
    url: str
    commit: str
    release: str
    pushed: bool
    report: Report | None


def deploy(
    hub: Hub,
    request: Request,
    *,
    say: Log,
    on_check: OnCheck,
    approve: Callable[[Plan], None] = lambda _: None,
) -> Deployed:
    """Make the Space what the config says, and prove it.

    `approve` is shown the plan before anything is touched, and raises to leave it so.

    Raises:
        NotAllowed: the token may not, or the plan does not cover it; nothing was touched.
        Conflict: the Space is somebody else's, or was changed meanwhile; nothing was overwritten.
        BuildFailed, SpaceConfigError, Unhealthy, TimedOut: it does not work; the release before
            was put back where there was one, and the message says so.
    """
    account = hub.account()
    repo_id = account.full_name(request.config.space.repo_id)
    _require_write(account, repo_id)
    tree = render(request.config)
    say(f"{repo_id} on {hub.endpoint} as {account.name}: {len(tree)} files")
    written = Written(f"{hub.endpoint} {repo_id}", request.state_file)
    plan = make_plan(hub, repo_id, request.config, tree, request.secrets, written, diffs=False)
    if plan.live is not None:
        _require_ours(plan.live, adopt=request.adopt)
    if not plan and plan.live is not None:
        say("Nothing to do: the Space is what space.toml says, and proven.")
        space = plan.live.space
        newest = releases(plan.live.tags)[-1]
        return Deployed(repo_id, space.url, space.commit, newest, pushed=False, report=None)
    approve(plan)
    return _carry_out(hub, plan, tree, request, written, say=say, on_check=on_check)


def _carry_out(
    hub: Hub,
    plan: Plan,
    tree: Tree,
    request: Request,
    written: Written,
    *,
    say: Log,
    on_check: OnCheck,
) -> Deployed:
    """Apply, watch, prove, record; take back what does not work."""
    repo_id = plan.repo_id
    commit = None
    try:
        space = plan.live.space if plan.live is not None else _create(hub, repo_id, request, say)
        if plan.live is not None:
            _apply_settings(hub, plan, request, say)
        commit = _push(hub, space, plan, tree, request, say)
        wait_until_running(hub, repo_id, commit, say=say, patience=request.patience)
        say(f"Proving {space.url}")
        report = smoke_test_url(space.url, access(hub, request), on_check=on_check)
        report.require_passed()
    except (BuildFailed, SpaceConfigError, Unhealthy, TimedOut) as error:
        _roll_back(hub, plan, commit, error, request, say)
        raise
    except KeyboardInterrupt:
        say(_interrupted(commit))
        raise
    written.note(request.secrets, hub.secret_times(repo_id), request.config.space.visibility)
    release = _record(hub, repo_id, commit, plan, report, request)
    return Deployed(repo_id, space.url, commit, release, commit != _base(plan), report)


def _base(plan: Plan) -> str | None:
    return plan.live.space.commit if plan.live is not None else None


def _interrupted(commit: str | None) -> str:
    if commit is None:
        return (
            "Interrupted before anything was pushed; settings named above are on the Hub already. "
            "`ops plan` shows what is left, `ops deploy` goes on from there."
        )
    return (
        f"Interrupted: commit {commit[:8]} is on the Hub but not proven. "
        "`ops status` shows what becomes of it; `ops deploy` goes on from there."
    )


def access(hub: Hub, request: Request) -> Access:
    """What opens the deployed Space: the Hub's token, and the first of the app's own keys."""
    return Access(
        hub_token=hub.token if request.config.space.visibility == "private" else None,
        app_key=first_key(request.secrets),
    )


def first_key(secrets: Mapping[str, str]) -> str | None:
    """The first of the app's own keys, without its name."""
    keys = re.split(r"[,\n]", secrets.get(API_KEYS, ""))
    return keys[0].strip().rpartition("=")[2] or None


def _require_write(account: Account, repo_id: str) -> None:
    if account.role == "read":
        raise NotAllowed(
            f"The token of {account.name} can only read.",
            next_step="Make one with the role write: https://huggingface.co/settings/tokens.",
        )
    owner = repo_id.partition("/")[0]
    if owner not in (account.name, *account.organisations):
        raise NotAllowed(
            f"{repo_id} is not {account.name}'s to deploy.",
            cause=f"{owner} is neither {account.name} nor an organisation of theirs.",
            next_step="Correct space.repo_id in space.toml, or use that owner's token.",
        )


def _create(hub: Hub, repo_id: str, request: Request, say: Log) -> SpaceState:
    space = request.config.space
    say(f"Creating the {space.visibility} Space {repo_id}")
    hub.create_space(
        repo_id,
        visibility=space.visibility,
        hardware=space.hardware,
        sleep_time=space.sleep_time,
        secrets=request.secrets,
        variables=request.config.variables,
    )
    created = hub.space(repo_id)
    if created is None:
        raise OpsError(
            f"{repo_id} was created, but the Hub does not show it.",
            next_step="Wait a moment, then run ops deploy again.",
        )
    return created


def _require_ours(live: Live, *, adopt: bool) -> None:
    files = live.files.keys()
    made_here = "model.toml" in files and "space_app/__main__.py" in files
    if not (adopt or made_here or files <= _MADE_BY_THE_HUB):
        raise Conflict(
            f"{live.space.repo_id} exists and was not made by embedding-space.",
            cause="Deploying would replace all of its files.",
            next_step="Choose another repo_id, or replace it on purpose: ops deploy --adopt.",
        )


def _apply_settings(hub: Hub, plan: Plan, request: Request, say: Log) -> None:
    """Bring the settings of an existing Space in line, one after the other."""
    space = request.config.space
    for change in plan.settings:
        say(described(change))
        match change.field:
            case "visibility":
                hub.set_visibility(plan.repo_id, space.visibility)
            case "hardware":
                hub.set_hardware(plan.repo_id, space.hardware, space.sleep_time)
            case "sleep time" if space.sleep_time is not None:
                hub.set_sleep_time(plan.repo_id, space.sleep_time)
            case "variable" if change.kind == "remove":
                hub.unset_variable(plan.repo_id, change.name)
            case "variable":
                hub.set_variable(plan.repo_id, change.name, request.config.variables[change.name])
            case "secret" if change.kind == "remove":
                hub.unset_secret(plan.repo_id, change.name)
            case "secret":
                hub.set_secret(plan.repo_id, change.name, request.secrets[change.name])


def _push(hub: Hub, space: SpaceState, plan: Plan, tree: Tree, request: Request, say: Log) -> str:
    """Commit what the plan names, all at once, on top of what it looked at; returns the commit."""
    add = {change.path: tree[change.path] for change in plan.files if change.kind != "remove"}
    delete = [change.path for change in plan.files if change.kind == "remove"]
    if not plan.files:
        say(f"Its files are up to date at {space.commit[:8]}")
        return space.commit
    commit = hub.commit(
        space.repo_id,
        add=add,
        delete=delete,
        title=f"Deploy {request.config.model.id} with embedding-space {__version__}",
        description=f"Toolkit commit: {request.source_commit or 'unknown'}",
        parent=space.commit,
    )
    say(f"Pushed {commit[:8]}: {len(add)} files written, {len(delete)} removed")
    return commit


def _record(
    hub: Hub, repo_id: str, commit: str, plan: Plan, report: Report, request: Request
) -> str:
    """Tag a proven commit as the next release, unless nothing but a proof was missing."""
    tags = hub.tags(repo_id)
    found = releases(tags)
    if found and tags[found[-1]] == commit and not plan.settings:
        return found[-1]
    number = int(found[-1].rpartition("-")[2]) + 1 if found else 1
    name = f"release-{number}"
    message = {
        "release": number,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "toolkit": __version__,
        "toolkit_commit": request.source_commit,
        "model": request.config.model.id,
        "fingerprint": report.info.fingerprint,
        "p50_ms": report.measured.p50_ms,
    }
    hub.tag(repo_id, name, commit=commit, message=json.dumps(message))
    return name


def _roll_back(
    hub: Hub, plan: Plan, failed: str | None, error: OpsError, request: Request, say: Log
) -> None:
    """Put settings and files back to before; `error` learns how that went."""
    live = plan.live
    found = releases(live.tags) if live is not None else []
    if live is None or failed is None or not found or live.tags[found[-1]] == failed:
        error.aftermath = "There is no earlier release to go back to."
        if live is not None and plan.settings:
            error.aftermath += " The settings named above stay changed."
        return
    last = found[-1]
    say(f"It does not work: going back to {last}")
    try:
        lost = _restore_settings(hub, plan, live, say)
        commit = _restore(hub, plan.repo_id, live.tags[last], on_top_of=failed, name=last)
        wait_until_running(hub, plan.repo_id, commit, say=say, patience=request.patience)
    except OpsError as second:
        error.aftermath = f"Going back to {last} failed too: {second}"
    else:
        error.aftermath = f"{plan.repo_id} runs the files of {last} again."
        if lost:
            error.aftermath += (
                f" Secrets that were overwritten and cannot be put back: {', '.join(lost)}."
            )


def _restore_settings(hub: Hub, plan: Plan, live: Live, say: Log) -> list[str]:
    """Undo what the plan changed; returns the secrets whose values are lost."""
    lost = [c.name for c in plan.settings if c.field == "secret" and c.kind != "add"]
    for change in reversed(plan.settings):
        if undo := _undo(hub, plan.repo_id, change, live):
            say(f"Back to before: {change.field} {change.name}".rstrip())
            undo()
    return lost


def _undo(hub: Hub, repo_id: str, change: SettingChange, live: Live) -> Callable[[], None] | None:
    """What puts a setting back; None where the value before is not known."""
    if change.field in ("variable", "secret"):
        return _undo_named(hub, repo_id, change)
    hardware, seconds = live.runtime.hardware, live.runtime.sleep_time
    visibility = _VISIBILITIES.get("private" if live.space.private else change.before or "")
    if change.field == "visibility" and visibility is not None:
        return lambda: hub.set_visibility(repo_id, visibility)
    if change.field == "hardware" and hardware is not None:
        return lambda: hub.set_hardware(repo_id, hardware, seconds)
    if change.field == "sleep time" and seconds is not None:
        return lambda: hub.set_sleep_time(repo_id, seconds)
    return None


def _undo_named(hub: Hub, repo_id: str, change: SettingChange) -> Callable[[], None] | None:
    name, value = change.name, change.before
    if change.field == "variable" and value is not None:
        return lambda: hub.set_variable(repo_id, name, value)
    if change.field == "variable":
        return lambda: hub.unset_variable(repo_id, name)
    return (lambda: hub.unset_secret(repo_id, name)) if change.kind == "add" else None


def _restore(hub: Hub, repo_id: str, release: str, *, on_top_of: str, name: str) -> str:
    """One commit that makes the files what they were at `release`; returns its id."""
    good, bad = hub.files(repo_id, release), hub.files(repo_id, on_top_of)
    changed = (path for path in good if bad.get(path) != good[path])
    return hub.commit(
        repo_id,
        add={path: hub.read_file(repo_id, path, release) for path in changed},
        delete=sorted(bad.keys() - good.keys()),
        title=f"Go back to {name}",
        description=f"{on_top_of} did not work.",
        parent=on_top_of,
    )
