from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fakes.asgi_server import serving
from fakes.runner import FakeRunner
from hub_world import FREE, OTHER, READ, SPACE, WRITE, World, hub_world
from starlette.responses import Response

from ops import __version__
from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.config import Config
from ops.doctor import Context, on_hub
from ops.doctor.finding import Unknown
from ops.errors import Exit, NotAllowed
from ops.hub import Fault, LocalHub, User
from ops.hub.accounts import Grant, Organisation, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Send
    from starlette.types import Scope as AsgiScope

    from ops.doctor.finding import Finding
    from ops.hub.accounts import OrgRole

AT_ONCE = Retries(first_wait=0)
CARDS = {"org/free": "license: mit", "org/nc": "license: cc-by-nc-4.0", "org/bare": "tags: [a]"}


@pytest.fixture(scope="module", name="shared")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("doctor")
    mirrors = {}
    for model_id, card in CARDS.items():
        mirrors[model_id] = folder / model_id
        mirrors[model_id].mkdir(parents=True)
        (mirrors[model_id] / "README.md").write_text(f"---\n{card}\n---\n")
    with hub_world(folder / "hub", FakeRunner(), mirrors=mirrors) as world:
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """The Hub of this file, without Spaces."""
    yield shared
    if shared.api.repo_exists(SPACE, repo_type="space"):
        shared.api.delete_repo(SPACE, repo_type="space")


def context(world: World, token: str | None = WRITE, **sections: Any) -> Context:
    """A config, seen with somebody's token."""
    sections = {"space": {"repo_id": SPACE}, "model": {"id": "org/free"}} | sections
    return Context(
        Config.model_validate(sections),
        public=Hub(world.hub.endpoint, None),
        hub=NotAllowed("There is no token.")
        if token is None
        else Hub(world.hub.endpoint, token, retries=AT_ONCE),
    )


def named(repo_id: str) -> dict[str, Any]:
    """A Space of that name, on the free hardware."""
    return {"space": {"repo_id": repo_id}}


def outcome(found: Finding) -> tuple[str, int]:
    """What is counted, and what the command would exit with."""
    return found.outcome, found.exit_code


ALL: tuple[Callable[[Context], Finding], ...] = (
    on_hub.hub, on_hub.token, on_hub.role, on_hub.namespace, on_hub.plan, on_hub.name,
    on_hub.names, on_hub.hardware, on_hub.model, on_hub.licence, on_hub.version,
)  # fmt: skip


def test_a_fresh_name_with_a_good_token(world: World) -> None:
    """Whoever may deploy is told so by every check."""
    made = context(world)
    assert [check(made).outcome for check in ALL] == ["ok"] * len(ALL)
    assert on_hub.name(made).detail == f"{SPACE} is free"


def test_nothing_is_written(world: World) -> None:
    """Looking makes no Space and no commit."""
    made = context(world)
    for check in ALL:
        check(made)
    assert not world.api.repo_exists(SPACE, repo_type="space")


def test_a_token_that_the_hub_does_not_know(world: World) -> None:
    """It is one finding; what depends on it has nothing to say."""
    made = context(world, "hf_unknown")
    assert outcome(on_hub.token(made)) == ("failure", Exit.NOT_ALLOWED)
    for check in (on_hub.role, on_hub.namespace, on_hub.plan):
        with pytest.raises(Unknown, match="could not ask who the token belongs to"):
            check(made)


def test_without_a_token(world: World) -> None:
    """Its absence is the finding; the others name it as their reason."""
    made = context(world, None)
    assert on_hub.hub(made).outcome == "ok"
    assert outcome(on_hub.token(made)) == ("failure", Exit.NOT_ALLOWED)
    for check in ALL[2:]:
        with pytest.raises(Unknown, match="there is no token"):
            check(made)


def test_without_a_network() -> None:
    """One check tells it, and the others do not wait for the Hub again."""
    hub = Hub("http://127.0.0.1:1", WRITE, retries=AT_ONCE)
    made = Context(Config.model_validate(named(SPACE)), public=hub, hub=hub)
    assert outcome(on_hub.hub(made)) == ("failure", Exit.UNEXPECTED)
    for check in (on_hub.clock, *ALL[1:]):
        with pytest.raises(Unknown, match="the Hub does not answer"):
            check(made)


def test_a_token_that_only_reads(world: World) -> None:
    """It is refused by its role, not by what it may not see."""
    found = on_hub.role(context(world, READ))
    assert outcome(found) == ("failure", Exit.NOT_ALLOWED)
    assert "can only read" in found.detail


@pytest.mark.parametrize(
    ("scope", "there", "expected"),
    [
        (Scope("user", "me", ("repo.write",)), False, "ok"),
        (Scope("user", "me", ("repo.content.read",)), False, "failure"),
        (Scope("user", "other", ("repo.write",)), False, "failure"),
        (Scope("space", SPACE, ("repo.write",)), True, "ok"),
        (Scope("space", SPACE, ("repo.write",)), False, "failure"),
        (Scope("model", SPACE, ("repo.write",)), True, "failure"),
        (Scope("space", "me/another", ("repo.write",)), True, "failure"),
    ],
    ids=["owner", "reads", "other owner", "this Space", "no Space yet", "a model", "other Space"],
)
def test_a_fine_grained_token(world: World, scope: Scope, expected: str, *, there: bool) -> None:
    """It may deploy with write access to the owner, or to the Space that is there already."""
    if there:
        world.create()
    read = Scope("user", "me", ("repo.content.read",))
    world.hub.accounts.grant("me", "hf_fine", Grant("fineGrained", (scope, read)))
    found = on_hub.role(context(world, "hf_fine"))
    assert found.outcome == expected
    assert found.exit_code == (Exit.NOT_ALLOWED if expected == "failure" else Exit.DONE)


def test_whose_name_it_is(world: World) -> None:
    """One's own, and an organisation's where one writes; nobody else's."""
    assert on_hub.namespace(context(world)).outcome == "ok"
    assert on_hub.namespace(context(world, **named("team/app"))).outcome == "ok"
    assert on_hub.namespace(context(world, **named("app"))).detail == "me/app"
    found = on_hub.namespace(context(world, OTHER))
    assert outcome(found) == ("failure", Exit.NOT_ALLOWED)
    assert "neither other nor an organisation" in found.detail


def test_organisations_have_roles_and_plans(tmp_path: Path) -> None:
    """Whoever only reads in one may not deploy there; its plan covers its Spaces."""
    organisations: dict[str, OrgRole] = {"readers": "read", "team": "contributor"}
    me = User("me", {WRITE: "write"}, pro=False, organisations=organisations)
    paying = [Organisation("team", plan="team")]
    with LocalHub(tmp_path, FakeRunner(), users=[me], organisations=paying) as local:
        hub = Hub(local.endpoint, WRITE)
        read, team = (
            Context(Config.model_validate(named(f"{name}/app")), public=hub, hub=hub)
            for name in organisations
        )
        assert outcome(on_hub.namespace(read)) == ("failure", Exit.NOT_ALLOWED)
        assert [on_hub.namespace(team).outcome, on_hub.plan(team).outcome] == ["ok", "ok"]


def test_the_plan_is_the_owners(world: World) -> None:
    """A person's for their own Spaces, the organisation's for its; paid hardware needs none."""
    assert on_hub.plan(context(world)).outcome == "ok"
    free = context(world, FREE, **named("free/app"))
    assert outcome(on_hub.plan(free)) == ("failure", Exit.NOT_ALLOWED)
    assert on_hub.plan(context(world, **named("team/app"))).outcome == "failure"
    paid = {"space": {"repo_id": "free/app", "hardware": "cpu-upgrade"}}
    assert on_hub.plan(context(world, FREE, **paid)).outcome == "ok"


def test_a_space_that_is_there_may_stay(world: World) -> None:
    """Without a plan, what runs already is a warning."""
    api = world.client(FREE)
    api.create_repo("free/app", repo_type="space", space_sdk="static")
    try:
        found = on_hub.plan(context(world, FREE, **named("free/app")))
    finally:
        api.delete_repo("free/app", repo_type="space")
    assert found.outcome == "warning"


def test_whose_files_are_there(world: World) -> None:
    """An empty Space and one of ours may be written; somebody's work only on purpose."""
    world.create()
    assert "is there and empty" in on_hub.name(context(world)).detail
    world.push({"app.py": b"mine"})
    assert outcome(on_hub.name(context(world))) == ("failure", Exit.CONFLICT)
    assert on_hub.name(replace(context(world), adopt=True)).outcome == "ok"
    world.push({"model.toml": b"", "space_app/__main__.py": b""})
    assert on_hub.name(context(world)).outcome == "ok"


def test_a_hub_in_trouble_is_a_failure_once(world: World) -> None:
    """When the Space cannot be looked at, that is said; nobody takes its name for a free one."""
    made = context(world)
    world.hub.faults.add(Fault("status", path=f"/api/spaces/{SPACE}", status=500, times=None))
    try:
        assert outcome(on_hub.name(made)) == ("failure", Exit.UNEXPECTED)
        for check in (on_hub.names, on_hub.version):
            with pytest.raises(Unknown, match=f"could not look at {SPACE}"):
                check(made)
    finally:
        world.hub.faults.clear()


def test_names_that_collide_on_the_hub(world: World) -> None:
    """A secret and a variable of one name are named; values are not."""
    world.create(space_variables=[{"key": "A", "value": "1"}])
    assert on_hub.names(context(world)).outcome == "ok"
    world.api.add_space_secret(SPACE, "A", "hidden-value")
    found = on_hub.names(context(world))
    assert found.outcome == "warning"
    assert "Hub: A." in found.detail
    assert "hidden-value" not in str(found)


@pytest.mark.parametrize(
    ("hardware", "expected", "said"),
    [
        ("cpu-basic", "ok", "free"),
        ("cpu-upgrade", "ok", "$0.03 an hour, $22 a month"),
        ("cpu-imaginary", "warning", "does not list cpu-imaginary"),
    ],
)
def test_what_the_hardware_costs(world: World, hardware: str, expected: str, said: str) -> None:
    """The price by the hour and the month; a name that is not listed is a warning only."""
    found = on_hub.hardware(context(world, space={"repo_id": SPACE, "hardware": hardware}))
    assert found.outcome == expected
    assert said in found.detail


def test_a_model_that_is_not_there(world: World) -> None:
    """It is a mistake in space.toml, and its licence is not looked at."""
    made = context(world, model={"id": "org/none"})
    assert outcome(on_hub.model(made)) == ("failure", Exit.USAGE)
    with pytest.raises(Unknown, match="has no model org/none"):
        on_hub.licence(made)


@pytest.mark.parametrize(
    ("model", "expected"), [("org/free", "ok"), ("org/nc", "warning"), ("org/bare", "warning")]
)
def test_the_models_licence(world: World, model: str, expected: str) -> None:
    """One that allows everything is fine; none, and one that forbids business, are told."""
    assert on_hub.licence(context(world, model={"id": model})).outcome == expected


@pytest.mark.parametrize(
    ("made_by", "expected", "said"),
    [
        (("0.0.9",), "ok", __version__),
        ((__version__,), "ok", __version__),
        (("9.10", "9.9.1"), "warning", "deployed by 9.10;"),
    ],
)
def test_a_newer_toolkit_was_there(
    world: World, made_by: tuple[str, ...], expected: str, said: str
) -> None:
    """Going back to an older toolkit is worth a word, by the numbers and not by the letters."""
    world.create()
    hub = Hub(world.hub.endpoint, WRITE)
    space = hub.space(SPACE)
    assert space is not None
    newest = space.commit
    for version in made_by:
        newest = hub.commit(
            SPACE,
            add={"a": version.encode()},
            delete=[],
            title=f"Deploy m with embedding-space {version}",
            description="",
            parent=newest,
        )
    world.push({"b": b"a commit by hand on top"})
    found = on_hub.version(context(world))
    assert found.outcome == expected
    assert said in found.detail


def told(date: str | None) -> ASGIApp:
    """A Hub that answers with this Date, or none."""

    async def app(scope: AsgiScope, receive: Receive, send: Send) -> None:
        response = Response(headers={"date": date} if date is not None else {})
        await response(scope, receive, send)

    return app


@pytest.mark.parametrize(
    ("date", "said"),
    [("Wed, 01 Jan 2020 00:00:00 GMT", "ahead"), ("Fri, 01 Jan 2100 00:00:00 GMT", "behind")],
)
def test_a_clock_that_is_wrong(date: str, said: str) -> None:
    """How far, and in which direction."""
    with serving(told(date), date_header=False) as origin:
        hub = Hub(origin, WRITE)
        found = on_hub.clock(Context(NotAllowed(""), public=hub, hub=hub))
    assert found.outcome == "warning"
    assert said in found.detail


def test_a_clock_that_is_right(world: World) -> None:
    """The server's own Date agrees; a Hub that tells none leaves nothing to say."""
    with serving(told(None)) as origin:
        hub = Hub(origin, WRITE)
        assert on_hub.clock(Context(NotAllowed(""), public=hub, hub=hub)).outcome == "ok"
    assert "date" not in httpx2.head(world.hub.endpoint).headers
    with pytest.raises(Unknown, match="does not tell its time"):
        on_hub.clock(context(world))
