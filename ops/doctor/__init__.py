"""`ops doctor`: everything that can be known before anything is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops import config_file
from ops.doctor import local, on_hub
from ops.doctor.context import Context, attempt
from ops.doctor.finding import Finding, Unknown
from ops.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ops.adapters.hf_hub import Hub
    from ops.config import Config
    from ops.errors import OpsError

    Check = Callable[[Context], Finding]
    OnFinding = Callable[[Finding], None]

__all__ = ["Context", "Finding", "attempt", "examine", "exit_code", "load", "preflight", "require"]

_CHECKS: tuple[Check, ...] = (
    local.config,
    local.secrets,
    local.keys,
    local.templates,
    local.pins,
    local.leaks,
    local.sizes,
    on_hub.hub,
    on_hub.clock,
    on_hub.token,
    on_hub.role,
    on_hub.namespace,
    on_hub.plan,
    on_hub.name,
    on_hub.names,
    on_hub.hardware,
    on_hub.model,
    on_hub.licence,
    on_hub.version,
    local.git,
    local.docker,
    local.disk,
)
"""In the order in which a person would mend what they find."""

_MUST_HOLD: tuple[Check, ...] = (
    on_hub.token,
    on_hub.namespace,
    on_hub.role,
    on_hub.plan,
    on_hub.name,
    local.templates,
    local.leaks,
)
"""Without these, a deployment is refused, or does what was not meant."""


def load(path: Path, environment: str | None) -> Config | OpsError:
    """The chosen environment of a space.toml, once all of them are valid; else what is wrong."""

    def read() -> Config:
        for name in (None, *config_file.environments(path)):
            config_file.load(path, name)
        return config_file.load(path, environment)

    return attempt(read)


def examine(context: Context, on_finding: OnFinding) -> tuple[Finding, ...]:
    """Make every check; one that fails hides no other."""
    return tuple(_examined(context, _CHECKS, on_finding))


def preflight(hub: Hub, config: Config, *, adopt: bool = False) -> tuple[Finding, ...]:
    """The checks that must hold before a deployment touches anything; it writes nothing."""
    context = Context(config, public=hub, hub=hub, adopt=adopt, knock=False)
    return tuple(_examined(context, _MUST_HOLD, lambda _: None))


def require(findings: Iterable[Finding]) -> None:
    """Raise the first failure as an OpsError of its exit code."""
    for finding in findings:
        if finding.failed:
            raise finding.error()


def exit_code(findings: Iterable[Finding]) -> Exit:
    """The first failure's; 0 when nothing failed."""
    return next((finding.exit_code for finding in findings if finding.failed), Exit.DONE)


def _examined(
    context: Context, checks: Iterable[Check], on_finding: OnFinding
) -> Iterable[Finding]:
    for check in checks:
        finding = _made(check, context)
        on_finding(finding)
        yield finding


def _made(check: Check, context: Context) -> Finding:
    try:
        return check(context)
    except Unknown as reason:
        return Finding(check.__name__, "skipped", f"{reason}.")
