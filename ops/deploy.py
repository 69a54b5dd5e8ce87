"""`ops deploy`: space.toml -> a proven Space, or the release before it.

Preflight, plan, and what `ops.apply` does. Running it again after any interruption continues from
what the Hub holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from ops import __version__, doctor
from ops.adapters import git_space
from ops.app_keys import first_key
from ops.apply import Applied, Job, carry_out
from ops.plan import make_plan, of_config
from ops.render import render
from ops.watch import Patience
from ops.written import Written, default_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ops.adapters.hf_hub import Hub
    from ops.apply import Commit
    from ops.config import Config
    from ops.plan import Plan
    from ops.runner import Log
    from ops.smoke_test import OnCheck
    from ops.watch import Show


@dataclass(frozen=True)
class Request:
    """What to deploy, and how.

    `via` says what makes the commit: the Hub's API, or a push by git. With `new_vectors`, vectors
    may differ from the last release's although the model is the same.
    """

    config: Config
    secrets: Mapping[str, str] = field(repr=False)
    source_commit: str | None = None
    adopt: bool = False
    new_vectors: bool = False
    via: Literal["api", "git"] = "api"
    patience: Patience = field(default_factory=Patience)
    state_file: Path = field(default_factory=default_path)


def deploy(
    hub: Hub,
    request: Request,
    *,
    say: Log,
    on_check: OnCheck,
    approve: Callable[[Plan], None] = lambda _: None,
    show: Show | None = None,
) -> Applied:
    """Make the Space what the config says, and prove it.

    `approve` is shown the plan before anything is touched, and raises to leave it so.

    Raises:
        ConfigError: the app would not start with its keys; nothing was touched.
        NotAllowed: the token may not, or the plan does not cover it; nothing was touched.
        Conflict: the Space is somebody else's, or was changed meanwhile; nothing was overwritten.
        BuildFailed, SpaceConfigError, Unhealthy, TimedOut: it does not work; the release before
            was put back where there was one, and the message says so.
    """
    config = request.config
    app_key = first_key(request.secrets)
    doctor.require(doctor.preflight(hub, config, adopt=request.adopt))
    repo_id = hub.full_name(config.space.repo_id)
    tree = render(config)
    say(f"{repo_id} on {hub.endpoint}: {len(tree)} files")
    written = Written(f"{hub.endpoint} {repo_id}", request.state_file, say)
    wanted = of_config(config, tree, request.secrets)
    plan = make_plan(hub, repo_id, wanted, written, diffs=False)
    if not plan and plan.live is not None and plan.live.releases.last is not None:
        say("Nothing to do: the Space is what space.toml says, and proven.")
        last, space = plan.live.releases.last, plan.live.space
        return Applied(repo_id, space.url, space.commit, last.name, pushed=False, report=None)
    approve(plan)
    job = Job(
        title=f"Deploy {config.model.id} with embedding-space {__version__}",
        written=written,
        commit=_commit(hub, request.via),
        toolkit_commit=request.source_commit,
        app_key=app_key,
        patience=request.patience,
        any_vectors=request.new_vectors,
    )
    return carry_out(hub, plan, job, say=say, on_check=on_check, show=show)


def _commit(hub: Hub, via: Literal["api", "git"]) -> Commit:
    if via == "api":
        return hub.commit
    return partial(git_space.commit, hub.endpoint, hub.token)
