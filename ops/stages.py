"""The stages of a Space that mean the same to every command, by the Hub's names for them."""

from __future__ import annotations

from ops.errors import BuildFailed, NotRunning, OpsError, SpaceConfigError, Unhealthy

_WHY_IDLE = {
    "PAUSED": "Somebody paused it.",
    "SLEEPING": "Nobody used it for its sleep time.",
    "STOPPED": "A quota of running Spaces is used up.",
}
IDLE = frozenset(_WHY_IDLE)
"""It was stopped, costs nothing, and can be started."""

WAKES_ON_A_VISIT = frozenset({"SLEEPING"})
"""Those of them that a request ends."""

REFUSED = frozenset({"CONFIG_ERROR", "NO_APP_FILE"})
"""The Hub does not even begin to build it."""


def ended(
    space: str, stage: str, *, said: str | None = None, log_tail: tuple[str, ...] = ()
) -> OpsError | None:
    """The error of a Space that runs no app in this stage, and won't by itself; None for others.

    `said` is the Hub's own message about it.
    """
    more = f": {said}" if said else "."
    if stage in REFUSED:
        return SpaceConfigError(
            f"The Hub refuses the configuration of {space} ({stage}){more}",
            next_step="Correct space.toml, or the setting on the Hub, and run `ops deploy`.",
        )
    if stage == "BUILD_ERROR":
        return BuildFailed(
            f"The build of {space} failed{more}",
            cause="The last lines of its log say where.",
            next_step="Read them with `ops logs --build`, try it here with `ops build`, "
            "then run `ops deploy`.",
            log_tail=log_tail,
        )
    if stage == "RUNTIME_ERROR":
        return Unhealthy(
            f"{space} was built but does not run{more}",
            cause="The last lines of its log say why.",
            next_step="Read them with `ops logs`, try it here with `ops smoke-test`, "
            "then run `ops deploy`.",
            log_tail=log_tail,
        )
    if stage in IDLE:
        return NotRunning(
            f"{space} is {stage.lower()}: it answers no requests.",
            cause=_WHY_IDLE[stage],
            next_step="Start it with `ops wake`.",
        )
    return None
