"""Whatever goes wrong at a request of a deploy: what serves then, what is said, how to go on."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import subprocess
import time
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from deploying import BROKEN, app
from fakes.embedding_server import APP_KEY
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world
from running_ops import command, environment

from ops import deploy as verb
from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.config import Config
from ops.errors import (
    BuildFailed,
    Conflict,
    NotAllowed,
    NotRunning,
    OpsError,
    TimedOut,
    Unhealthy,
)
from ops.hub import Grant
from ops.hub.fault_text import parse
from ops.watch import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hub_world import World
    from starlette.types import ASGIApp

    from ops.apply import Applied
    from ops.smoke_test import CheckResult

MODEL = "BAAI/bge-base-en-v1.5"

_ASKS = re.compile(r".*/(validate-yaml|preupload/[^/]+)")
"""Where a POST changes nothing."""

_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Step:
    """One of a deploy's requests, by which a fault finds it in another deploy of the same kind.

    `nth` is how many with the same method and path came before it, `index` how many in all.
    """

    method: str
    path: str
    nth: int
    index: int

    @property
    def writes(self) -> bool:
        """Whether it changes something on the Hub."""
        return self.method != "GET" and not _ASKS.fullmatch(self.path)

    @property
    def names_space(self) -> bool:
        """Whether it asks for something of the Space by the API."""
        return self.path.startswith(f"/api/spaces/{SPACE}")

    def fault(self, text: str) -> str:
        """A fault of this one request."""
        return f"{text} {self.method} {self.path} skip={self.nth}"


@dataclass(frozen=True)
class Wanted:
    """What to deploy, as text, with the values of its secrets."""

    toml: str
    secrets: dict[str, str]


@dataclass
class Deploys:
    """Deploys from one machine, with little patience and no time lost between tries."""

    world: World
    state: Path
    said: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _others: Iterator[bool] = field(default_factory=lambda: itertools.cycle([True, False]))

    def wanted(self, repo_id: str = SPACE, *, title: str = "", everything: bool = False) -> Wanted:
        """Files and a variable that differ from all before; with `everything`, all else as well."""
        number = next(self._numbers)
        other = everything and next(self._others)
        return Wanted(
            f"""
[space]
repo_id = "{repo_id}"
title = "{title or f"Number {number}"}"
visibility = "{"public" if other else "private"}"
hardware = "{"cpu-upgrade" if other else "cpu-basic"}"
[model]
id = "{MODEL}"
revision = "{self.world.api.model_info(MODEL).sha}"
[secrets]
EMBED_API_KEYS = {{ env = "EMBED_API_KEYS" }}
[variables]
NUMBER = "{number}"
""",
            {"EMBED_API_KEYS": f"client-{number if everything else 0}={APP_KEY}"},
        )

    def __call__(
        self,
        what: Wanted,
        *,
        token: str = WRITE,
        on_check: Callable[[CheckResult], None] = lambda _: None,
        limit: float = 30,
    ) -> Applied:
        """Deploy; what is said is kept."""
        self.said.clear()
        request = verb.Request(
            Config.model_validate(tomllib.loads(what.toml)),
            what.secrets,
            patience=Patience(limit=limit, poll=0.05),
            state_file=self.state / "embedding-space" / "written.json",
        )
        retries = Retries(first_wait=0, say=self.said.append)
        hub = Hub(self.world.hub.endpoint, token, retries=retries)
        return verb.deploy(hub, request, say=self.said.append, on_check=on_check)

    def steps(self, what: Wanted) -> tuple[Step, ...]:
        """The requests of a deploy.

        One that is sent again and again, as a poll is, counts once; the same at any later time
        cannot be found by its number, and is left out.
        """
        self.world.hub.faults.mark()
        self(what)
        seen = [(s.method, _COMMIT_ID.sub("*", s.path)) for s in self.world.hub.faults.seen]
        polls = {request for request, next_ in itertools.pairwise(seen) if request == next_}
        first_poll = min(
            (i for i, pair in enumerate(itertools.pairwise(seen)) if pair[0] == pair[1]),
            default=len(seen),
        )
        return tuple(
            Step(*request, seen[:index].count(request), index)
            for index, request in enumerate(seen)
            if request not in polls or index <= first_poll
        )


def turns(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Each write and each first request after one, and the wait: in between nothing changes."""
    steps = tuple(step for step in steps if step.names_space)
    return tuple(
        step
        for step, before in zip(steps, (None, *steps), strict=False)
        if step.writes or before is None or before.writes or step.path.endswith("/runtime")
    )


@pytest.fixture(scope="module", name="shared")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Hub for all."""
    model = tmp_path_factory.mktemp("model")
    (model / "config.json").write_text("{}")
    data = tmp_path_factory.mktemp("hub")
    with hub_world(data, FakeRunner(app), mirrors={MODEL: model}) as world:
        yield world


@pytest.fixture(name="world")
def _world(shared: World) -> Iterator[World]:
    """The Hub, without faults before and after."""
    yield shared
    shared.hub.faults.clear()


@pytest.fixture(scope="module", name="deploy")
def _deploy(shared: World, tmp_path_factory: pytest.TempPathFactory) -> Deploys:
    """Deploys from a machine that has deployed the Space before."""
    deploy = Deploys(shared, tmp_path_factory.mktemp("state"))
    deploy(deploy.wanted())
    return deploy


@pytest.fixture(scope="module", name="steps")
def _steps(deploy: Deploys) -> tuple[Step, ...]:
    """The requests of a deploy that changes files and a variable."""
    deploy(deploy.wanted())
    return deploy.steps(deploy.wanted())


@dataclass(frozen=True)
class Before:
    """What a Space has, to be held against what it has later."""

    commits: int
    releases: tuple[str, ...]
    number: str

    @classmethod
    def of(cls, world: World, repo_id: str = SPACE) -> Before:
        """Now."""
        commits = world.api.list_repo_commits(repo_id, repo_type="space")
        refs = world.api.list_repo_refs(repo_id, repo_type="space")
        return cls(
            sum(commit.title.startswith("Deploy") for commit in commits),
            tuple(t.target_commit for t in refs.tags if t.name.startswith("release-")),
            world.api.get_space_variables(repo_id)["NUMBER"].value,
        )


def assert_done_once(world: World, deployed: Applied, before: Before) -> None:
    """It runs what was deployed, by one commit and one release more than before."""
    runtime = world.wait_for_stage("RUNNING")
    now = Before.of(world)
    assert runtime["sha"] == deployed.commit
    assert now.commits == before.commits + 1
    assert sorted(now.releases) == sorted((*before.releases, deployed.commit))


def assert_told(world: World, before: Before, said: str) -> None:
    """What is on the Hub and in no release is named in what was said, or in doubt there."""
    newest = str(world.api.space_info(SPACE).sha)
    now = Before.of(world)
    if newest not in now.releases:
        in_doubt = "Whether this was done is not known: a commit" in said
        assert f"Commit {newest[:8]} is on the Hub" in said or in_doubt, said
    if now.number != before.number and now.releases == before.releases:
        assert "variable NUMBER" in said, said


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_creating_deploy_survives_any_single_lost_connection(
    world: World, deploy: Deploys, when: str
) -> None:
    """Each request in turn: one Space, one commit, one release; a read is lost in one way only."""
    for step in deploy.steps(deploy.wanted("me/first")):
        if when == "after" and not step.writes:
            continue
        name = f"me/cut-{when}-{step.index}"
        fault = step.fault(f"cut when={when}").replace("me/first", name)
        world.hub.faults.add(parse(fault))
        deployed = deploy(deploy.wanted(name))
        assert world.hub.faults.pending == (), fault
        now = Before.of(world, name)
        assert (deployed.release, now.releases) == ("release-1", (deployed.commit,))
        assert now.commits == 1
        world.api.delete_repo(name, repo_type="space")
    world.api.delete_repo("me/first", repo_type="space")


@pytest.mark.parametrize("asks", [False, True], ids=["all", "before a commit"])
def test_every_request_may_be_refused_twice_for_now(
    world: World, deploy: Deploys, *, asks: bool
) -> None:
    """503 to each of them twice: proven in one go, and every write was carried out once.

    What the client asks before it commits is apart, as it is tried again with the commit.
    """
    steps = deploy.steps(deploy.wanted(everything=True))
    what, before = deploy.wanted(everything=True), Before.of(world)
    refused = {(s.method, s.path) for s in steps if bool(_ASKS.fullmatch(s.path)) is asks}
    for method, path in refused:
        world.hub.faults.add(parse(f"status 503 times=2 {method} {path}"))
    world.hub.faults.mark()
    deployed = deploy(what)
    assert world.hub.faults.pending == ()
    assert_done_once(world, deployed, before)
    sent = Counter((s.method, _COMMIT_ID.sub("*", s.path)) for s in world.hub.faults.seen)
    written = {s.path.rpartition("/app/")[2]: sent[s.method, s.path] for s in steps if s.writes}
    assert written.keys() > {"settings", "hardware", "variables", "secrets", "commit/main"}
    assert set(written.values()) == {1 if asks else 3}


def test_a_hub_that_says_when_to_come_back_is_obeyed(
    world: World, deploy: Deploys, steps: tuple[Step, ...]
) -> None:
    """429 with Retry-After to each write: it is sent once more, when that time is over."""
    writes = [step for step in steps if step.writes]
    before = Before.of(world)
    for step in writes:
        world.hub.faults.add(parse(step.fault("status 429 retry-after=1")))
    deployed = deploy(deploy.wanted())
    assert deploy.said.count("The Hub answered 429; trying again in 1 s") == len(writes)
    assert_done_once(world, deployed, before)


def test_a_hub_that_goes_away(world: World, deploy: Deploys, steps: tuple[Step, ...]) -> None:
    """No reply to a request and all later ones: what is left is said, and it goes on from there.

    What was asked for is carried out all the same, so that nobody can know by the reply.
    """
    for step in turns(steps):
        what, before = deploy.wanted(), Before.of(world)
        world.hub.faults.add(parse(step.fault("outage when=after")))
        with pytest.raises(OpsError) as caught:
            deploy(what)
        world.hub.faults.clear()
        assert caught.value.next_step, step
        assert_told(world, before, str(caught.value.aftermath))
        assert_done_once(world, deploy(what), before)


def test_what_is_left_is_said_again(world: World, deploy: Deploys, steps: tuple[Step, ...]) -> None:
    """A second try that comes no further tells of what the first has pushed."""
    what, before = deploy.wanted(), Before.of(world)
    for step in steps:
        if step.path.endswith(("/commit/main", "/commit/releases")):
            world.hub.faults.add(parse(step.fault("outage when=after")))
            with pytest.raises(OpsError) as caught:
                deploy(what)
            world.hub.faults.clear()
    pushed = str(world.api.space_info(SPACE).sha)
    assert f"Commit {pushed[:8]} is on the Hub" in str(caught.value.aftermath)
    assert_done_once(world, deploy(what), before)


def test_a_token_that_is_revoked_halfway(
    world: World, deploy: Deploys, steps: tuple[Step, ...]
) -> None:
    """Nobody's from a request on: exit code 9, what is left is said; another token goes on."""
    for step in turns(steps):
        what, before, token = deploy.wanted(), Before.of(world), f"hf_short_{step.index}"
        world.hub.accounts.grant("me", token, Grant("write"))
        world.hub.faults.add(parse(step.fault("revoke")))
        with pytest.raises(NotAllowed) as caught:
            deploy(what, token=token)
        assert world.hub.faults.pending == (), step
        assert caught.value.next_step, step
        assert token not in f"{caught.value} {caught.value.cause} {deploy.said}"
        assert_told(world, before, str(caught.value.aftermath))
        assert_done_once(world, deploy(what), before)


@pytest.mark.parametrize("action", ["pause", "sleep"])
def test_a_space_that_goes_idle(
    world: World, deploy: Deploys, steps: tuple[Step, ...], action: str
) -> None:
    """Before a request: it is started and proven, at once or, after exit code 8, the next time."""
    for step in turns(steps):
        what, before = deploy.wanted(), Before.of(world)
        world.hub.faults.add(parse(step.fault(action)))
        with contextlib.suppress(NotRunning):
            deploy(what)
        assert world.hub.faults.pending == (), step
        assert_done_once(world, deploy(what), before)


@pytest.mark.parametrize(
    ("fault", "error", "exit_code"), [("pause", NotRunning, 8), ("revoke", NotAllowed, 9)]
)
def test_what_happens_during_the_proof_is_not_the_versions_fault(
    world: World, deploy: Deploys, fault: str, error: type[OpsError], exit_code: int
) -> None:
    """A Space that is paused, or a token that is revoked, is said so; nothing is taken back."""
    what, before = deploy.wanted(), Before.of(world)
    world.hub.accounts.grant("me", "hf_proof", Grant("write"))

    def meanwhile(result: CheckResult) -> None:
        if result.name == "health":
            if fault == "pause":
                world.api.pause_space(SPACE)
            else:
                world.hub.accounts.revoke("hf_proof")

    with pytest.raises(error) as caught:
        deploy(what, token="hf_proof", on_check=meanwhile)
    assert caught.value.exit_code == exit_code
    assert_told(world, before, str(caught.value.aftermath))
    assert_done_once(world, deploy(what), before)


@pytest.mark.parametrize("fault", ["sleep", "restart", "pause and restart"])
def test_a_space_that_is_started_anew_under_the_proof(
    world: World, deploy: Deploys, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Answers that wait, or fail, until it runs again say nothing about the version."""
    what, before = deploy.wanted(), Before.of(world)
    again = "It is APP_STARTING: proving it again when it runs"

    def slow_app(files: Mapping[str, str]) -> ASGIApp:
        until = time.monotonic() + (20 if "pause" in fault else 1)
        while time.monotonic() < until and again not in deploy.said:
            time.sleep(0.05)
        return app(files)

    def meanwhile(result: CheckResult) -> None:
        if result.name != "health" or world.runner.app is slow_app:
            return
        monkeypatch.setattr(world.runner, "app", slow_app)
        if "sleep" in fault:
            world.hub.faults.add(parse(f"sleep GET /api/spaces/{SPACE}"))
            world.api.space_info(SPACE)
        if "pause" in fault:
            world.api.pause_space(SPACE)
        if "restart" in fault:
            world.api.restart_space(SPACE)

    assert_done_once(world, deploy(what, on_check=meanwhile), before)
    assert (again in deploy.said) == ("pause" in fault), deploy.said


def test_a_commit_of_somebody_elses_is_never_overwritten(
    world: World, deploy: Deploys, steps: tuple[Step, ...]
) -> None:
    """Before a request between the look at the Space and the push: exit code 10, and it stays."""
    push = next(step.index for step in steps if "commit/main" in step.path)
    for step in turns(steps)[1:]:
        if step.index > push:
            break
        what, before = deploy.wanted(), Before.of(world)
        world.hub.faults.add(parse(step.fault("commit")))
        with pytest.raises(Conflict) as caught:
            deploy(what)
        assert caught.value.exit_code == 10
        assert world.hub.faults.pending == (), step
        assert world.api.list_repo_commits(SPACE, repo_type="space")[0].authors == ["somebody-else"]
        assert_told(
            world,
            before,
            f"Commit {world.api.space_info(SPACE).sha[:8]} is on the Hub {caught.value.aftermath}",
        )
        assert_done_once(world, deploy(what), before)


def test_a_commit_after_the_push_ends_the_wait(
    world: World, deploy: Deploys, steps: tuple[Step, ...]
) -> None:
    """What was pushed will never run then: exit code 10, without going back over theirs."""
    what, before = deploy.wanted(), Before.of(world)
    pushed = next(step for step in steps if "commit/main" in step.path)
    poll = next(step for step in steps if step.index > pushed.index)
    world.hub.faults.add(parse(poll.fault("commit")))
    with pytest.raises(Conflict) as caught:
        deploy(what)
    commits = world.api.list_repo_commits(SPACE, repo_type="space")
    assert [commit.authors for commit in commits[:2]] == [["somebody-else"], ["me"]]
    assert f"Commit {commits[1].commit_id[:8]} is on the Hub" in str(caught.value.aftermath)
    deployed = deploy(what)
    assert world.wait_for_stage("RUNNING")["sha"] == deployed.commit
    assert len(Before.of(world).releases) == len(before.releases) + 1


@pytest.mark.parametrize(
    ("fault", "title", "error", "exit_code"),
    [
        ("fail-build", "Other", BuildFailed, 4),
        ("hang-start", "Other", TimedOut, 7),
        ("crash after=5", "Other", Unhealthy, 6),
        ("", BROKEN, Unhealthy, 6),
    ],
)
def test_a_version_that_does_not_work_is_taken_back(
    world: World, deploy: Deploys, fault: str, title: str, error: type[OpsError], exit_code: int
) -> None:
    """Whatever is wrong with it, the release before runs again, files and settings."""
    what, before = deploy.wanted(), Before.of(world)
    good = deploy(what)
    if fault:
        world.hub.faults.add(parse(fault))
    with pytest.raises(error) as caught:
        # A setting that changed as well would start it once more, and use the fault up.
        deploy(Wanted(what.toml.replace("Number", title), what.secrets), limit=5)
    assert caught.value.exit_code == exit_code
    assert "is release-" in str(caught.value.aftermath)
    runtime = world.wait_for_stage("RUNNING")
    now = Before.of(world)
    assert runtime["sha"] in now.releases
    hub = Hub(world.hub.endpoint, WRITE)
    assert hub.files(SPACE, str(runtime["sha"])) == hub.files(SPACE, good.commit)
    assert now.commits == before.commits + 2


def test_a_version_of_an_earlier_try_is_taken_back(
    world: World, deploy: Deploys, steps: tuple[Step, ...]
) -> None:
    """One that was pushed, and lost sight of before it was proven, is not taken for a release."""
    good = deploy(deploy.wanted())
    what = deploy.wanted(title=BROKEN)
    pushed = next(step for step in steps if "commit/main" in step.path)
    world.hub.faults.add(parse(pushed.fault("outage when=after")))
    with pytest.raises(OpsError):
        deploy(what)
    world.hub.faults.clear()
    with pytest.raises(Unhealthy) as caught:
        deploy(what)
    assert f"is {good.release} again" in str(caught.value.aftermath)
    running = str(world.wait_for_stage("RUNNING")["sha"])
    hub = Hub(world.hub.endpoint, WRITE)
    assert hub.files(SPACE, running) == hub.files(SPACE, good.commit)


@dataclass
class Stopped:
    """How a command ended that was stopped."""

    code: int
    said: str


def stopped(world: World, deploy: Deploys, what: Wanted, number: signal.Signals) -> Stopped:
    """`ops --yes deploy`, sent a signal as soon as a fault has kept back a reply."""
    folder = deploy.state
    (folder / "space.toml").write_text(what.toml)
    withheld = world.hub.faults.withheld
    process = subprocess.Popen(
        command("--yes", "deploy"),
        cwd=folder,
        env=environment(
            folder,
            HF_ENDPOINT=world.hub.endpoint,
            HF_TOKEN=WRITE,
            XDG_STATE_HOME=str(folder),
            **what.secrets,
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while world.hub.faults.withheld == withheld and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return Stopped(process.returncode, said)


def test_an_interrupted_deploy_says_where_it_is(
    world: World, deploy: Deploys, steps: tuple[Step, ...]
) -> None:
    """Ctrl-C or SIGTERM while a request waits for its reply: exit code 130, and it goes on.

    A write is carried out all the same. The last of them is one of the proof's.
    """
    signals = itertools.cycle([signal.SIGINT, signal.SIGTERM])
    requests = [step.fault("hang when=after") for step in turns(steps)]
    for fault in (*requests, "hang origin=space POST /embed"):
        what, before = deploy.wanted(), Before.of(world)
        world.hub.faults.add(parse(fault))
        ended = stopped(world, deploy, what, next(signals))
        assert (ended.code, "Traceback" in ended.said) == (130, False), ended.said
        assert WRITE not in ended.said
        assert_told(world, before, ended.said)
        assert_done_once(world, deploy(what), before)


def test_an_interrupted_first_deploy_says_what_there_is(world: World, deploy: Deploys) -> None:
    """Ctrl-C or SIGTERM at each write and in the wait: the next try makes no second of anything."""
    signals = itertools.cycle([signal.SIGINT, signal.SIGTERM])
    writes = [s.fault("hang when=after") for s in deploy.steps(deploy.wanted("me/new")) if s.writes]
    assert len(writes) == 5, writes
    for number, fault in enumerate((*writes, "hang GET /api/spaces/me/new/runtime")):
        name = f"me/new-{number}"
        what = deploy.wanted(name)
        world.hub.faults.add(parse(fault.replace("me/new/", f"{name}/")))
        ended = stopped(world, deploy, what, next(signals))
        assert (ended.code, "Traceback" in ended.said) == (130, False), ended.said
        assert f"the private Space {name} created" in ended.said
        newest = str(world.api.space_info(name).sha)
        in_doubt = "not known: a commit" in ended.said
        assert number == 0 or in_doubt or f"Commit {newest[:8]} is on the Hub" in ended.said
        deployed = deploy(what)
        now = Before.of(world, name)
        assert (deployed.release, now.releases) == ("release-1", (deployed.commit,))
        assert now.commits == 1
        world.api.delete_repo(name, repo_type="space")
    world.api.delete_repo("me/new", repo_type="space")


def test_an_interrupted_way_back_says_where_it_is(world: World, deploy: Deploys) -> None:
    """Ctrl-C while the release before is put back: what is there is said, and it goes on."""
    what, before = deploy.wanted(title=BROKEN), Before.of(world)
    world.hub.faults.add(parse(f"hang when=after skip=1 POST /api/spaces/{SPACE}/commit/main"))
    ended = stopped(world, deploy, what, signal.SIGINT)
    broken = world.api.list_repo_commits(SPACE, repo_type="space")[1].commit_id
    assert (ended.code, "Traceback" in ended.said) == (130, False), ended.said
    assert f"Commit {broken[:8]} is on the Hub and is not proven" in ended.said
    assert_told(world, before, ended.said)
    deployed = deploy(deploy.wanted())
    assert world.wait_for_stage("RUNNING")["sha"] == deployed.commit
