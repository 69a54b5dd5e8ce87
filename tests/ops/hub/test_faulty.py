from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import httpx2
import huggingface_hub
import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import CARD, SPACE, WRITE, hub_world
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError

from ops.hub import Fault, Grant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World

LOST = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)
"""What the client makes of a connection that ends too early; a time limit is something else."""

_names = itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Hub for all; what a test creates has a name of its own.

    The library tries again as it does by itself, which ops takes off it.
    """
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        huggingface_hub.set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=60))
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """The Hub, without faults before and after."""
    shared.hub.faults.mark()
    yield shared
    shared.hub.faults.clear()


@pytest.fixture
def model(world: World) -> str:
    """A model with a README."""
    repo_id = f"me/model-{next(_names)}"
    world.api.create_repo(repo_id)
    commit(world, repo_id, "README.md")
    world.hub.faults.mark()
    return repo_id


def commit(world: World, repo_id: str, path: str, parent: str | None = None) -> str:
    """One more file."""
    return str(
        world.api.create_commit(
            repo_id,
            [CommitOperationAdd(path, b"---\nlicense: mit\n---\n".ljust(4000, b"x"))],
            commit_message=path,
            parent_commit=parent,
        ).oid
    )


def files(world: World, repo_id: str) -> set[str]:
    """What main has."""
    return set(world.api.list_repo_files(repo_id))


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_status_is_answered_and_nothing_is_done(world: World, status: int) -> None:
    """The client sees the status; the repository was not created, and is the next time."""
    repo_id = f"me/model-{next(_names)}"
    world.hub.faults.add(Fault("status", status=status, path="/api/repos/create"))
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.create_repo(repo_id)
    assert caught.value.response.status_code == status
    assert not world.api.repo_exists(repo_id)
    world.api.create_repo(repo_id)


def test_a_429_says_when_to_come_back_in_either_header(world: World, model: str) -> None:
    """The client reads the RateLimit headers, and Retry-After."""
    world.hub.faults.add(Fault("status", status=429, rate_limit=30))
    with pytest.raises(HfHubHTTPError, match=r"Retry after 30 seconds \(0/500 requests remaining"):
        world.api.repo_info(model)
    world.hub.faults.add(Fault("status", status=429, retry_after=7))
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.repo_info(model)
    assert caught.value.response.headers["Retry-After"] == "7"
    assert "RateLimit" not in caught.value.response.headers


def test_the_client_waits_and_comes_back_where_it_is_safe(world: World, model: str) -> None:
    """A refused preupload is sent again by the client itself, and the commit is made."""
    world.hub.faults.add(Fault("status", status=429, retry_after=0, path="*/preupload/*"))
    commit(world, model, "again.txt")
    paths = [seen.path.rsplit("/", 2)[1] for seen in world.hub.faults.seen]
    assert paths.count("preupload") == 2
    assert "again.txt" in files(world, model)


@pytest.mark.parametrize(("when", "done"), [("before", False), ("after", True)])
def test_a_cut_connection_leaves_the_client_without_any_reply(
    world: World, model: str, *, when: str, done: bool
) -> None:
    """No status, no byte: the client cannot know whether it was done, and it was only `after`."""
    world.hub.faults.add(Fault("cut", when=when, path="*/commit/*"))  # type: ignore[arg-type]
    with pytest.raises(LOST):
        commit(world, model, "cut.txt")
    assert ("cut.txt" in files(world, model)) is done


@pytest.mark.parametrize("sent", [0, 10, 10_000_000])
def test_a_body_is_cut_short(world: World, model: str, sent: int) -> None:
    """The head comes, and so many bytes, but never all of them."""
    world.hub.faults.add(Fault("cut", when="body", after=sent))
    url = f"{world.hub.endpoint}/{model}/resolve/main/README.md"
    with loopback.stream("GET", url) as reply:
        assert reply.status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            reply.read()
        assert reply.num_bytes_downloaded == min(sent, 3999)


def test_a_cut_reply_without_a_body_is_no_reply(world: World) -> None:
    """A 204 has nothing to cut within."""
    world.hub.faults.add(Fault("cut", when="body"))
    with pytest.raises(LOST):
        world.api.repo_exists("me/nothing")


def test_a_stream_can_be_cut(world: World) -> None:
    """Logs that are followed never end; they end all the same when their connection is cut."""
    world.create()
    url = f"{world.hub.endpoint}/api/spaces/{SPACE}/logs/build"
    headers = {"Authorization": f"Bearer {WRITE}"}
    world.hub.faults.add(Fault("cut", when="after", path="*/logs/*"))
    with pytest.raises(LOST):
        loopback.get(url, headers=headers)
    world.push({})
    world.wait_for_stage("RUNNING")
    world.hub.faults.add(Fault("cut", when="body", after=20, path="*/logs/*"))
    with pytest.raises(httpx2.RemoteProtocolError):
        loopback.get(url, headers=headers)
    world.api.delete_repo(SPACE, repo_type="space")


def test_others_go_on_while_a_request_is_held(world: World) -> None:
    """A delay keeps one request waiting, and it is answered then."""
    world.hub.faults.add(Fault("delay", seconds=30, path="/api/whoami-v2"))
    with pytest.raises(httpx2.ReadTimeout):
        loopback.get(
            f"{world.hub.endpoint}/api/whoami-v2",
            headers={"Authorization": f"Bearer {WRITE}"},
            timeout=0.2,
        )
    world.hub.faults.add(Fault("delay", seconds=0.1, path="/api/whoami-v2"))
    assert world.api.whoami()["name"] == "me"


def test_somebody_elses_commit_lands_first(world: World, model: str) -> None:
    """A commit on the parent that was the newest is refused (412); both histories are whole."""
    head = world.api.repo_info(model).sha
    world.hub.faults.add(Fault("conflict"))
    with pytest.raises(HfHubHTTPError) as caught:
        commit(world, model, "mine.txt", parent=head)
    assert caught.value.response.status_code == 412
    newest = world.api.list_repo_commits(model)[0]
    assert newest.authors == ["somebody-else"]
    assert files(world, model) == {".gitattributes", "README.md", "SOMEBODY_ELSE.md"}
    commit(world, model, "mine.txt", parent=newest.commit_id)


def test_a_conflict_waits_for_a_commit(world: World, model: str) -> None:
    """Other requests go by it."""
    world.hub.faults.add(Fault("conflict"))
    world.api.repo_info(model)
    assert len(world.hub.faults.pending) == 1


@pytest.mark.parametrize(("when", "done"), [("before", False), ("after", True)])
def test_a_request_hangs_until_its_client_goes(
    world: World, model: str, *, when: str, done: bool
) -> None:
    """The connection stays without a reply; it was carried out only `after`, and others go on."""
    url = f"{world.hub.endpoint}/api/models/{model}/tag/main"
    world.hub.faults.add(Fault("hang", when=when, path="*/tag/*"))  # type: ignore[arg-type]
    with pytest.raises(httpx2.ReadTimeout):
        loopback.post(
            url, json={"tag": "v1"}, headers={"Authorization": f"Bearer {WRITE}"}, timeout=0.3
        )
    assert [tag.name for tag in world.api.list_repo_refs(model).tags] == ["v1"] * done


def test_an_outage_lasts(world: World, model: str) -> None:
    """From one request on, nobody gets a reply, until faults are called off."""
    world.hub.faults.add(Fault("outage", skip=1))
    world.api.whoami()
    for _ in range(3):
        with pytest.raises(LOST):
            world.api.repo_info(model)
    world.hub.faults.clear()
    assert world.api.repo_info(model).id == model


def test_somebody_commits_before_any_request(world: World, model: str) -> None:
    """Unlike a conflict, it waits for no commit of the client's."""
    world.hub.faults.add(Fault("commit"))
    world.api.whoami()
    head = world.api.repo_info(model).sha
    newest = world.api.list_repo_commits(model)[0]
    assert (newest.authors, newest.commit_id) == (["somebody-else"], head)


@pytest.mark.parametrize(("action", "stage"), [("pause", "PAUSED"), ("sleep", "SLEEPING")])
def test_a_space_goes_idle_before_a_request(world: World, action: str, stage: str) -> None:
    """The request that names it finds it so, and a restart is all that it needs."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.hub.faults.add(Fault(action))  # type: ignore[arg-type]
    assert world.api.get_space_runtime(SPACE).stage == stage
    world.api.restart_space(SPACE)
    world.wait_for_stage("RUNNING")
    world.api.delete_repo(SPACE, repo_type="space")


def test_a_paused_space_does_not_fall_asleep(world: World) -> None:
    """Else the next visitor would start what somebody has paused."""
    world.create()
    world.push({})
    world.api.pause_space(SPACE)
    world.hub.faults.add(Fault("sleep"))
    assert world.api.get_space_runtime(SPACE).stage == "PAUSED"
    world.api.delete_repo(SPACE, repo_type="space")


def test_a_token_is_nobodys_from_a_request_on(world: World) -> None:
    """This request and all later ones are refused (401); the user's other tokens are not."""
    world.hub.accounts.grant("me", "hf_short", Grant("write"))
    client = world.client("hf_short")
    world.hub.faults.add(Fault("revoke", skip=1))
    assert client.whoami()["name"] == "me"
    for _ in range(2):
        with pytest.raises(HfHubHTTPError) as caught:
            client.whoami()
        assert caught.value.response.status_code == 401
    assert world.api.whoami()["name"] == "me"


def test_every_request_in_turn_can_be_cut(world: World) -> None:
    """What a client did once can be walked through, one lost connection at a time."""

    def work() -> None:
        repo_id = f"me/model-{next(_names)}"
        world.api.create_repo(repo_id)
        commit(world, repo_id, "a.txt")

    work()
    steps = world.hub.faults.seen
    assert [seen.method for seen in steps] == ["POST"] * len(steps)
    for number, seen in enumerate(steps):
        world.hub.faults.mark()
        world.hub.faults.add(Fault("cut", skip=number))
        # A request that the client may repeat is repeated by it.
        if "preupload" in seen.path:
            work()
        else:
            with pytest.raises(LOST):
                work()
        assert world.hub.faults.seen[number].path.rpartition("/")[2] == seen.path.rpartition("/")[2]
        assert world.hub.faults.pending == ()


def test_a_spaces_own_origin_suffers_only_what_is_meant_for_it(world: World) -> None:
    """A fault of the Hub's leaves apps alone, and the other way round."""
    world.create()
    world.push({"README.md": CARD})
    world.wait_for_stage("RUNNING")
    headers = {"X-HF-Authorization": f"Bearer {WRITE}"}
    url = world.url()
    world.hub.faults.add(Fault("status", status=503, path="/app"))
    assert loopback.get(f"{url}/app", headers=headers).status_code == 200
    world.hub.faults.clear()
    world.hub.faults.add(Fault("status", status=503, origin="space"))
    world.api.whoami()
    assert loopback.get(f"{url}/app", headers=headers).status_code == 503
    world.hub.faults.add(Fault("cut", origin="space"))
    with pytest.raises(LOST):
        loopback.get(f"{url}/app", headers=headers)
    world.api.delete_repo(SPACE, repo_type="space")
