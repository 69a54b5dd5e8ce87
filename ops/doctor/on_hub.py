"""Checks of what the Hub says: token, plan, name, hardware, model, what is there already."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ops import __version__
from ops.config import FREE_HARDWARE
from ops.doctor.context import attempt, known
from ops.doctor.finding import Finding, Unknown, failure, from_error, ok, warning
from ops.errors import Exit, OpsError
from ops.plan import HOURS_A_MONTH

if TYPE_CHECKING:
    from ops.adapters.hf_account import Account
    from ops.doctor.context import Context

_TOKENS = "https://huggingface.co/settings/tokens"
_MAKE_ONE = f"Make a token with the role write on {_TOKENS}; set HF_TOKEN."
_WRITE = "repo.write"
"""The permission of a fine-grained token, as the Hub's settings name it."""

_SKEW = 60
"""Seconds. Beyond, expiry of tokens and times of releases are told wrong."""

_NOT_FOR_BUSINESS = re.compile(
    r"(?:^|[-_ ])nc(?:$|[-_ ])|non-?commercial|research|academic", re.IGNORECASE
)
_UNTOLD = frozenset({"other", "unknown"})
_MADE_BY = re.compile(r"\bembedding-space (\d+(?:\.\d+)*)")


def hub(context: Context) -> Finding:
    """The Hub answers."""
    if isinstance(context.time, OpsError):
        return from_error("hub", context.time)
    return ok("hub", f"{context.public.endpoint} answers")


def clock(context: Context) -> Finding:
    """This machine's clock agrees with the Hub's."""
    there = context.time
    if isinstance(there, OpsError):
        raise Unknown("the Hub does not answer")
    if there is None:
        raise Unknown("the Hub does not tell its time")
    seconds = (datetime.now(UTC) - there).total_seconds()
    if abs(seconds) > _SKEW:
        return warning(
            "clock",
            f"This machine is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}.",
            "Set its clock, such as by timedatectl set-ntp true.",
        )
    return ok("clock", "agrees with the Hub's")


def token(context: Context) -> Finding:
    """There is a token, and the Hub knows it."""
    if isinstance(context.hub, OpsError):
        return from_error("token", context.hub)
    if isinstance(context.account, OpsError):
        return from_error("token", context.account)
    return ok("token", f"{context.account.name}'s, role {context.account.role}")


def role(context: Context) -> Finding:
    """The token may write to the Space, or create it."""
    account = known(context.account)
    if account.role == "read":
        return failure(
            "role", f"The token of {account.name} can only read.", _MAKE_ONE, Exit.NOT_ALLOWED
        )
    if account.role == "fineGrained":
        return _fine_grained(context, account)
    if account.role not in ("write", "god"):
        return warning(
            "role",
            f"The Hub does not say what this token may do (role {account.role}).",
            "Nothing, if it comes from Trusted Publishers; a deploy shows it.",
        )
    return ok("role", "may write")


def _fine_grained(context: Context, account: Account) -> Finding:
    writable = [scope for scope in account.scopes if _WRITE in scope.permissions]
    if any(s.kind in ("user", "org") and s.name == context.owner for s in writable):
        return ok("role", f"fine-grained, may write to {context.owner}'s repositories")
    if any((s.kind, s.name) == ("space", context.repo_id) for s in writable):
        if known(context.live) is not None:
            return ok("role", f"fine-grained, may write to {context.repo_id}")
        return failure(
            "role",
            f"The token may write to {context.repo_id}, but not create it.",
            f"Let it write to all of {context.owner}'s repositories: {_TOKENS}.",
            Exit.NOT_ALLOWED,
        )
    return failure(
        "role",
        f"The fine-grained token may not write to {context.repo_id}.",
        f"Give it write access to {context.owner}'s repositories: {_TOKENS}.",
        Exit.NOT_ALLOWED,
    )


def namespace(context: Context) -> Finding:
    """The Space's owner is the token's, or an organisation where they may write."""
    account, owner = known(context.account), context.owner
    if owner not in (account.name, *account.organisations):
        return failure(
            "namespace",
            f"{context.repo_id} is not {account.name}'s to deploy: {owner} is neither "
            f"{account.name} nor an organisation of theirs.",
            "Correct space.repo_id in space.toml, or use that owner's token.",
            Exit.NOT_ALLOWED,
        )
    if owner in account.reading:
        return failure(
            "namespace",
            f"{account.name} may only read in {owner}.",
            f"Ask an administrator of {owner} for the role write.",
            Exit.NOT_ALLOWED,
        )
    return ok("namespace", context.repo_id)


def plan(context: Context) -> Finding:
    """The owner's plan covers the Space. What runs already is not taken away."""
    hardware, owner = known(context.config).space.hardware, context.owner
    account = known(context.account)
    if owner not in (account.name, *account.organisations):
        raise Unknown(f"the Hub does not tell {account.name} of {owner}'s plan")
    if owner in account.paying:
        return ok("plan", f"{owner} has a paid plan")
    if hardware != FREE_HARDWARE:
        return ok("plan", f"{hardware} is paid by the hour")
    if known(context.live) is not None:
        return warning(
            "plan",
            f"{owner} has no paid plan; the Space is there, but might not be restarted.",
            "Subscribe to PRO, Team or Enterprise, or set a paid hardware in space.toml.",
        )
    return failure(
        "plan",
        f"On {FREE_HARDWARE}, a Docker Space needs a paid plan, and {owner} has none.",
        "Subscribe to PRO, Team or Enterprise, set a paid hardware in space.toml, "
        "or try ops rehearse.",
        Exit.NOT_ALLOWED,
    )


def name(context: Context) -> Finding:
    """The name is free, or the Space of that name is one that may be replaced."""
    live = context.live
    if isinstance(live, OpsError):
        return from_error("name", live)
    if live is None:
        return ok("name", f"{context.repo_id} is free")
    if live.ours or context.adopt:
        what = "is there and empty" if live.empty else f"is there, at {live.space.commit[:8]}"
        return ok("name", f"{context.repo_id} {what}")
    return failure(
        "name",
        f"{context.repo_id} exists and was not made by embedding-space. "
        "Deploying would replace all of its files.",
        "Choose another repo_id, or replace it on purpose: ops deploy --adopt.",
        Exit.CONFLICT,
    )


def hardware(context: Context) -> Finding:
    """The hardware exists, and what it costs. The Hub's lists disagree, so it never fails."""
    wanted = known(context.config).space.hardware
    flavours = known(attempt(context.reached().flavours))
    if wanted not in flavours:
        return warning(
            "hardware",
            f"The Hub does not list {wanted}.",
            f"Check space.hardware; it lists {', '.join(flavours)}.",
        )
    dollars = flavours[wanted]
    if dollars is None:
        return ok("hardware", f"{wanted}, at a price that the Hub does not tell by the hour")
    if not dollars:
        return ok("hardware", f"{wanted}, free")
    monthly = dollars * HOURS_A_MONTH
    return ok(
        "hardware", f"{wanted}, ${dollars:.2f} an hour, ${monthly:,.0f} a month without sleep"
    )


def names(context: Context) -> Finding:
    """No name on the Hub is both a secret and a variable."""
    if known(context.live) is None:
        return ok("names", "nothing is set there yet")
    hub, repo_id = context.reached(), context.repo_id
    live = known(attempt(lambda: hub.secrets(repo_id) & hub.variables(repo_id).keys()))
    if live:
        return warning(
            "names",
            f"Both a secret and a variable on the Hub: {', '.join(sorted(live))}.",
            "Nothing: ops deploy removes what space.toml does not have.",
        )
    return ok("names", "none is both a secret and a variable")


def model(context: Context) -> Finding:
    """The model is there at its revision."""
    wanted = known(context.config).model
    if isinstance(context.model, OpsError):
        return from_error("model", context.model)
    return ok("model", f"{wanted.id} at {context.model.commit[:8]}")


def licence(context: Context) -> Finding:
    """The model may be used for whatever the Space is for, as far as its card says."""
    told = known(context.model).licence
    where = f"Read https://huggingface.co/{known(context.config).model.id} before others use it."
    if told is None:
        return warning("licence", "The model's card names no licence.", where)
    if told in _UNTOLD:
        return warning("licence", f"The model's licence is {told!r}, in words of its own.", where)
    if _NOT_FOR_BUSINESS.search(told):
        return warning("licence", f"{told}: not for commercial use.", where)
    return ok("licence", told)


def version(context: Context) -> Finding:
    """The Space was not deployed by a toolkit newer than this one."""
    if known(context.live) is None:
        return ok("version", f"{__version__}, the first there")
    hub, repo_id = context.reached(), context.repo_id
    messages = known(attempt(lambda: hub.commit_messages(repo_id)))
    made = [match[1] for message in messages if (match := _MADE_BY.search(message))]
    newest = max(made, key=_ordered, default=__version__)
    if _ordered(newest) > _ordered(__version__):
        return warning(
            "version",
            f"The Space was deployed by {newest}; this is {__version__}.",
            "Update this toolkit: git pull, then make setup.",
        )
    return ok("version", f"{__version__}, the newest there")


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
