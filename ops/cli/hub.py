"""The local Hub's commands: hub serve, reset, fault."""

from __future__ import annotations

import ipaddress
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ops.cli.context import UNTOUCHED, Globals, dry_run, needs_extra, pass_globals
from ops.cli.here import choose_runner, mirrors, models, runner, wait_for_interrupt

if TYPE_CHECKING:
    from ops.adapters.local_hub import LocalHubFaults, Ordered
    from ops.hub import Fault, LocalHub, Organisation, User
    from ops.hub.accounts import OrgRole, Plan

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_PLANS = ("team", "enterprise", "plus", "academia")
_ORG_ROLES = ("admin", "write", "contributor", "read")

data = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/hub"),
    show_default=True,
    help="Where it keeps repositories and tokens.",
)


@dataclass(frozen=True)
class _Person:
    name: str
    pro: bool


@dataclass(frozen=True)
class _Group:
    """An organisation; `members` are name -> role in it."""

    name: str
    plan: str | None
    members: dict[str, str]


@click.group()
def hub() -> None:
    """Run a Hugging Face Hub on this machine.

    \b
    Example: ops hub serve
    """


def _parse_address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not an IP address.") from error


def _parse_people(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> list[_Person]:
    people = []
    for value in values or ("me",):
        name, separator, plan = value.partition(":")
        if not _NAME.fullmatch(name) or (plan not in ("free", "pro") if separator else False):
            raise click.BadParameter(f"{value!r} is not of the form NAME, NAME:free or NAME:pro.")
        people.append(_Person(name, plan != "free"))
    return people


def _parse_groups(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> list[_Group]:
    return [_parse_group(value) for value in values]


def _parse_group(value: str) -> _Group:
    head, _, tail = value.partition("=")
    name, separator, plan = head.partition(":")
    members = {
        member.partition(":")[0]: member.partition(":")[2] or "admin"
        for member in filter(None, tail.split(","))
    }
    if not _NAME.fullmatch(name) or not members or (separator and plan not in _PLANS):
        raise click.BadParameter(
            f"{value!r} is not of the form NAME[:PLAN]=USER[:ROLE],…; "
            f"plans are {', '.join(_PLANS)}."
        )
    if unknown := sorted(set(members.values()) - set(_ORG_ROLES)):
        raise click.BadParameter(f"{unknown[0]!r} is no role; known are {', '.join(_ORG_ROLES)}.")
    return _Group(name, plan or None, members)


@hub.command("serve")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7850,
    show_default=True,
    help="Where it listens; 0 for any free port.",
)
@click.option(
    "--host",
    "address",
    metavar="ADDR",
    default="127.0.0.1",
    show_default=True,
    callback=_parse_address,
    help="Where it listens; whoever reaches it can try tokens, and see what is public.",
)
@data
@runner
@mirrors
@models
@click.option(
    "--user",
    "people",
    metavar="NAME[:free|pro]",
    multiple=True,
    callback=_parse_people,
    help="Who has an account, at first the owner.  [default: me:pro]",
)
@click.option(
    "--org",
    "groups",
    metavar="NAME[:PLAN]=USER[:ROLE],…",
    multiple=True,
    callback=_parse_groups,
    help="An organisation with its members.",
)
@click.option(
    "--token",
    "token_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the owner's token is; made when it is not there.  [default: in the data folder]",
)
@click.option(
    "--fault",
    "faults",
    metavar="FAULT",
    multiple=True,
    help="What goes wrong, such as 'cut POST /api/*'; see ops hub fault add.",
)
@click.option(
    "--rate-limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="API requests that each user has in five minutes.",
)
@click.option("--allow-free-docker", is_flag=True, help="Docker Spaces need no paid plan.")
@click.option(
    "--running-spaces",
    type=click.IntRange(min=0),
    metavar="N",
    help="Spaces of an owner that may run at the same time.",
)
@pass_globals
def serve(  # noqa: PLR0913, PLR0917 -- one for each option
    options: Globals,
    port: int,
    address: str,
    data: Path,
    runner_name: Any,
    mirrors: dict[str, Path],
    models: dict[str, Path],
    people: list[_Person],
    groups: list[_Group],
    token_file: Path | None,
    faults: tuple[str, ...],
    rate_limit: int | None,
    running_spaces: int | None,
    *,
    allow_free_docker: bool,
) -> None:
    """Serve Spaces and models to the real client, until Ctrl-C.

    What is pushed to it is really built and run: by Docker where that works, else as processes.
    Repositories and tokens are kept in the data folder; people, plans and faults are as the
    options of each start say.

    \b
    Examples: ops hub serve
              ops hub serve --mirror BAAI/bge-base-en-v1.5=models/bge
              ops hub serve --user me:free --user you --org team:enterprise=me,you:read
              ops hub serve --fault "cut when=after POST /api/spaces/*/commit/*"
    """
    with needs_extra("hub"):
        from ops.hub import LocalHub, Rules

    _check_names(people, groups)
    ordered = [_parse_fault(text) for text in faults]
    _warn_of(options, address)
    with LocalHub(
        data,
        choose_runner(options, runner_name, None),
        mirrors=mirrors | models,
        port=port,
        users=_users(data, people, groups, token_file),
        organisations=_organisations(groups),
        faults=ordered,
        rules=Rules(
            paid_docker=not allow_free_docker, running_spaces=running_spaces, requests=rate_limit
        ),
        address=address,
    ) as local:
        _tell(options, local, data, people, token_file)
        wait_for_interrupt()


def _check_names(people: list[_Person], groups: list[_Group]) -> None:
    """Users and organisations share one space of names, whatever their case."""
    seen: set[str] = set()
    for name in (*(person.name for person in people), *(group.name for group in groups)):
        if name.lower() in seen:
            raise click.UsageError(f"The name {name!r} is given twice.")
        seen.add(name.lower())
    if unknown := {m for group in groups for m in group.members} - {p.name for p in people}:
        raise click.UsageError(f"--org names {min(unknown)!r}, whom no --user makes.")


def _parse_fault(text: str) -> Fault:
    from ops.hub.fault_text import FaultTextError, parse

    try:
        return parse(text)
    except FaultTextError as error:
        raise click.BadParameter(f"{error}.", param_hint="--fault") from error


def _warn_of(options: Globals, address: str) -> None:
    if not ipaddress.ip_address(address).is_loopback:
        options.output.say(
            f"WARNING: {address} can be reached from other machines. A local Hub speaks plain "
            "http, keeps secrets unencrypted, and runs whatever those who have its tokens push."
        )


def _users(
    data: Path, people: list[_Person], groups: list[_Group], owner_file: Path | None
) -> list[User]:
    """Everybody, with a token to read and one to write, from their files."""
    from ops.hub import User
    from ops.hub.data_folder import kept_token, token_in

    users = []
    for number, person in enumerate(people):
        write = (
            token_in(owner_file)
            if number == 0 and owner_file is not None
            else kept_token(data, person.name, "write")
        )
        read = kept_token(data, person.name, "read")
        roles = {
            g.name: cast("OrgRole", role) for g in groups if (role := g.members.get(person.name))
        }
        users.append(User(person.name, {write: "write", read: "read"}, person.pro, roles))
    return users


def _organisations(groups: list[_Group]) -> list[Organisation]:
    from ops.hub import Organisation

    return [Organisation(group.name, cast("Plan | None", group.plan)) for group in groups]


def _tell(
    options: Globals,
    local: LocalHub,
    data: Path,
    people: list[_Person],
    owner_file: Path | None,
) -> None:
    """What to export; tokens stay in their files."""
    from ops.hub.data_folder import token_file

    files = {
        person.name: {
            "write": token_file(data, person.name, "write"),
            "read": token_file(data, person.name, "read"),
        }
        for person in people
    }
    owner = people[0].name
    if owner_file is not None:
        files[owner]["write"] = owner_file
    options.output.result(
        f"export HF_ENDPOINT={local.endpoint}\n"
        f'export HF_TOKEN="$(cat {shlex.quote(str(files[owner]["write"]))})"',
        {
            "endpoint": local.endpoint,
            "token_file": str(files[owner]["write"]),
            "token_files": {n: {r: str(f) for r, f in own.items()} for n, own in files.items()},
        },
    )
    for name, own in files.items():
        if name != owner:
            options.output.say(f"{name}'s tokens: {own['write']}, {own['read']}")
    options.output.say(f"Its page, by a link that opens once: {local.page_link()}")
    options.output.say("Ctrl-C ends it and everything it runs.")


@hub.command("reset")
@data
@dry_run
@pass_globals
def reset(options: Globals, data: Path, *, dry_run: bool) -> None:
    """Delete everything that a Hub keeps in its data folder.

    Asks for the folder's name unless --yes is given. Refuses while a Hub serves the folder.

    \b
    Example: ops hub reset --data build/hub
    """
    with needs_extra("hub"):
        from ops.hub import data_folder

    data_folder.require_idle(data)
    if dry_run:
        options.output.say(f"All repositories and tokens in {data} go.")
        options.output.result(UNTOUCHED, {"deleted": str(data), "dry_run": True})
        return
    if not options.yes:
        name = data.resolve().name
        typed = click.prompt(f"All repositories and tokens in {data} go. Type {name}", err=True)
        if typed != name:
            raise click.UsageError(f"{typed!r} is not {name!r}: nothing was deleted.")
    data_folder.reset(data)
    options.output.result(f"Deleted {data}.", {"deleted": str(data), "dry_run": False})


@hub.group("fault")
def fault() -> None:
    """Tell a running Hub what is to go wrong.

    \b
    Example: ops hub fault add status 503 times=2 POST "/api/spaces/*/restart"
    """


url = click.option(
    "--url",
    envvar="HF_ENDPOINT",
    show_envvar=True,
    required=True,
    help="The Hub, as ops hub serve prints it.",
)


@fault.command("list")
@url
@pass_globals
def fault_list(options: Globals, url: str) -> None:
    """Show the faults that are still to come.

    \b
    Example: ops hub fault list
    """
    _show(options, _faults_of(url).ordered())


@fault.command("add")
@url
@click.argument("words", nargs=-1, required=True, metavar="FAULT...")
@pass_globals
def fault_add(options: Globals, url: str, words: tuple[str, ...]) -> None:
    """Order a fault.

    \b
    Requests:  delay seconds=N
               status CODE [retry-after=SECONDS] [ratelimit=SECONDS]
               cut [when=before|after|body] [bytes=N]
               outage [when=before|after|body]: this one and all later ones are cut
               hang [when=before|after|body] [bytes=N]: no reply, the connection stays
               conflict: somebody else's commit lands before a commit
               commit, pause, sleep: this happens to what the request names
               revoke: the token is nobody's from this request on
               each with [METHOD] [/path/*] [owner/name] [origin=hub|space]
    Spaces:    fail-build [step=LINES], slow-build [seconds=N], hang-start, crash [after=REQUESTS]
               each with [owner/name]
    All:       [skip=N]: so many go well first; [times=N|always], once unless told

    \b
    Examples: ops hub fault add cut when=after POST "/api/spaces/*/commit/*"
              ops hub fault add fail-build step=3 me/app
    """
    _show(options, _faults_of(url).add(" ".join(words)))


@fault.command("clear")
@url
@click.argument("number", type=int, required=False)
@pass_globals
def fault_clear(options: Globals, url: str, number: int | None) -> None:
    """Call off the fault of a NUMBER, or all.

    \b
    Examples: ops hub fault clear
              ops hub fault clear 2
    """
    faults = _faults_of(url)
    if number is None:
        faults.clear()
    else:
        faults.remove(number)
    _show(options, faults.ordered())


def _faults_of(url: str) -> LocalHubFaults:
    from ops.adapters.hf_environment import stored_token
    from ops.adapters.local_hub import LocalHubFaults
    from ops.errors import NotAllowed

    token = stored_token()
    if token is None:
        raise NotAllowed(
            "There is no token for the Hub.",
            next_step="Set HF_TOKEN as ops hub serve prints it.",
        )
    return LocalHubFaults(url, token)


def _show(options: Globals, faults: list[Ordered]) -> None:
    from dataclasses import asdict

    lines = [f"{f.number}  {f.fault}" + (f"  (taken {f.taken})" * bool(f.taken)) for f in faults]
    options.output.result(
        "\n".join(lines) or "No faults are to come.", [asdict(fault) for fault in faults]
    )
