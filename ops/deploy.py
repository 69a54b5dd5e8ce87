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
from ops.probe import Access
from ops.render import Tree, blob_ids, render
from ops.smoke_test import OnCheck, Report, smoke_test_url
from ops.watch import Patience, wait_until_running

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.adapters.hf_hub import Account, Hub, SpaceState
    from ops.config import Config
    from ops.runner import Log

_MADE_BY_THE_HUB = frozenset({".gitattributes", "README.md"})
"""What a Space that was just created holds."""

_RELEASE = re.compile(r"release-(\d+)")
API_KEYS = "EMBED_API_KEYS"


@dataclass(frozen=True)
class Request:
    """What to deploy, and how."""

    config: Config
    secrets: Mapping[str, str] = field(repr=False)
    source_commit: str | None = None
    adopt: bool = False
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class Deployed:
    """A proven Space. `release` is its tag; `pushed` is False when the Hub had it all already."""

    repo_id: str
    url: str
    commit: str
    release: str
    pushed: bool
    report: Report


def deploy(hub: Hub, request: Request, *, say: Log, on_check: OnCheck) -> Deployed:
    """Make the Space what the config says, and prove it.

    Raises:
        NotAllowed: the token may not, or the plan does not cover it; nothing was touched.
        Conflict: the Space is somebody else's, or was changed meanwhile; nothing was overwritten.
        BuildFailed, SpaceConfigError, Unhealthy, TimedOut: it does not work; the release before
            was put back where there was one, and the message says so.
    """
    account = hub.account()
    repo_id = _full_name(request.config.space.repo_id, account)
    _require_write(account, repo_id)
    tree = render(request.config)
    say(f"{repo_id} on {hub.endpoint} as {account.name}: {len(tree)} files")

    space = hub.space(repo_id)
    if space is None:
        say(f"Creating the {request.config.space.visibility} Space {repo_id}")
        space = _create(hub, repo_id, request)
    else:
        _require_ours(hub, space, adopt=request.adopt)
        _apply_settings(hub, space, request, say)
    commit = _push(hub, space, tree, request, say)
    try:
        wait_until_running(hub, repo_id, commit, say=say, patience=request.patience)
        say(f"Proving {space.url}")
        report = smoke_test_url(space.url, access(hub, request), on_check=on_check)
        report.require_passed()
    except (BuildFailed, SpaceConfigError, Unhealthy, TimedOut) as error:
        _roll_back(hub, repo_id, commit, error, request, say)
        raise
    except KeyboardInterrupt:
        say(
            f"Interrupted: commit {commit[:8]} is on the Hub but not proven. "
            "`ops status` shows what becomes of it; `ops deploy` goes on from there."
        )
        raise
    release = _record(hub, repo_id, commit, report, request)
    return Deployed(repo_id, space.url, commit, release, commit != space.commit, report)


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


def _full_name(repo_id: str, account: Account) -> str:
    return repo_id if "/" in repo_id else f"{account.name}/{repo_id}"


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


def _create(hub: Hub, repo_id: str, request: Request) -> SpaceState:
    space = request.config.space
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


def _require_ours(hub: Hub, space: SpaceState, *, adopt: bool) -> None:
    files = hub.files(space.repo_id, space.commit).keys()
    made_here = "model.toml" in files and "space_app/__main__.py" in files
    if not (adopt or made_here or files <= _MADE_BY_THE_HUB):
        raise Conflict(
            f"{space.repo_id} exists and was not made by embedding-space.",
            cause="Deploying would replace all of its files.",
            next_step="Choose another repo_id, or replace it on purpose: ops deploy --adopt.",
        )


def _apply_settings(hub: Hub, space: SpaceState, request: Request, say: Log) -> None:
    """Bring visibility, hardware, variables and secrets of an existing Space in line.

    Secrets are written each time: whether one changed cannot be read back from the Hub.
    """
    wanted, repo_id = request.config, space.repo_id
    # Set each time: what the Hub tells of a Space does not tell protected from the other two.
    hub.set_visibility(repo_id, wanted.space.visibility)
    if space.private != (wanted.space.visibility == "private"):
        say(f"It is {wanted.space.visibility} now")
    runtime = hub.runtime(repo_id)
    if runtime.hardware not in (None, wanted.space.hardware):
        say(f"Moving it from {runtime.hardware} to {wanted.space.hardware}")
        hub.set_hardware(repo_id, wanted.space.hardware, wanted.space.sleep_time)
    elif wanted.space.sleep_time not in (None, runtime.sleep_time):
        say(f"Setting its sleep time to {wanted.space.sleep_time} s")
        hub.set_sleep_time(repo_id, wanted.space.sleep_time)
    live = hub.variables(repo_id)
    for name in sorted(live.keys() - wanted.variables.keys()):
        say(f"Removing the variable {name}")
        hub.unset_variable(repo_id, name)
    for name in sorted(hub.secrets(repo_id) - request.secrets.keys()):
        say(f"Removing the secret {name}")
        hub.unset_secret(repo_id, name)
    for name, value in wanted.variables.items():
        if live.get(name) != value:
            say(f"Setting the variable {name}")
            hub.set_variable(repo_id, name, value)
    for name, value in request.secrets.items():
        say(f"Setting the secret {name}")
        hub.set_secret(repo_id, name, value)


def _push(hub: Hub, space: SpaceState, tree: Tree, request: Request, say: Log) -> str:
    """Commit what differs, all at once, on top of what was looked at; returns the commit."""
    live = hub.files(space.repo_id, space.commit)
    ids = blob_ids(tree)
    add = {path: tree[path] for path in tree if live.get(path) != ids[path]}
    delete = sorted(live.keys() - tree.keys() - {".gitattributes"})
    if not add and not delete:
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


def _record(hub: Hub, repo_id: str, commit: str, report: Report, request: Request) -> str:
    """Tag a proven commit as the next release, unless it is one already."""
    tags = hub.tags(repo_id)
    releases = _releases(tags)
    if releases and tags[releases[-1]] == commit:
        return releases[-1]
    number = int(releases[-1].rpartition("-")[2]) + 1 if releases else 1
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


def _releases(tags: Mapping[str, str]) -> list[str]:
    """Names of the tags that are releases, oldest first."""
    found = [(int(match[1]), name) for name in tags if (match := _RELEASE.fullmatch(name))]
    return [name for _, name in sorted(found)]


def _roll_back(
    hub: Hub, repo_id: str, failed: str, error: OpsError, request: Request, say: Log
) -> None:
    """Put the files of the last release back; `error` learns how that went."""
    releases = _releases(tags := hub.tags(repo_id))
    if not releases or tags[releases[-1]] == failed:
        error.aftermath = "There is no earlier release to go back to."
        return
    last = releases[-1]
    say(f"It does not work: going back to {last}")
    try:
        commit = _restore(hub, repo_id, tags[last], on_top_of=failed, name=last)
        wait_until_running(hub, repo_id, commit, say=say, patience=request.patience)
    except OpsError as second:
        error.aftermath = f"Going back to {last} failed too: {second}"
    else:
        error.aftermath = f"{repo_id} runs the files of {last} again."


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
