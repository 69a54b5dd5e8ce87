from __future__ import annotations

import errno
import gzip
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import loopback
import pytest
from hub_world import FREE, OTHER, READ, SPACE, WRITE
from huggingface_hub import (
    CommitOperationAdd,
    HfApi,
    snapshot_download,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    RepositoryNotFoundError,
)

from ops.errors import OpsError
from ops.hub import LocalHub
from ops.hub.api.facts import Facts
from ops.hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fakes.runner import FakeRunner
    from hub_world import World


def test_the_token_says_who_one_is(world: World) -> None:
    """Name, role, plan and organisations, as the client parses them."""
    who = world.api.whoami()
    assert (who["name"], who["isPro"], [org["name"] for org in who["orgs"]]) == (
        "me",
        True,
        ["team"],
    )
    assert world.client(READ).whoami()["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(HfHubHTTPError) as caught:
        world.client("hf_unknown").whoami()
    assert caught.value.response.status_code == 401


def test_a_new_space_is_as_it_was_asked_for(world: World) -> None:
    """Visibility, hardware, variables and secrets of the create call are there from the start."""
    world.create(
        space_hardware="cpu-upgrade",
        space_sleep_time=600,
        space_secrets=[{"key": "S", "value": "hidden"}],
        space_variables=[{"key": "V", "value": "seen"}],
    )
    info = world.api.space_info(SPACE)
    assert (info.id, info.private, info.sdk) == (SPACE, True, "docker")
    assert info.runtime is not None
    assert info.runtime.requested_hardware == "cpu-upgrade"
    assert info.runtime.sleep_time == 600
    assert {k: v.value for k, v in world.api.get_space_variables(SPACE).items()} == {"V": "seen"}
    assert list(world.api.get_space_secrets(SPACE)) == ["S"]


def test_an_existing_name_is_a_409_with_its_url(world: World) -> None:
    """`exist_ok` finds the repository; without it the client is told that it exists."""
    world.create()
    url = world.api.create_repo(SPACE, repo_type="space", space_sdk="docker", exist_ok=True)
    assert url.repo_id == SPACE
    with pytest.raises(HfHubHTTPError) as caught:
        world.create()
    assert caught.value.response.status_code == 409


@pytest.mark.parametrize(
    ("token", "owner", "status"),
    [(None, "me", 401), (READ, "me", 403), (WRITE, "other", 403), (FREE, "free", 402)],
    ids=["no token", "read-only token", "somebody else's", "no paid plan"],
)
def test_who_may_not_create_is_told_why(
    world: World, token: str | None, owner: str, status: int
) -> None:
    """Each reason for a refusal has its own status, and nothing is created."""
    with pytest.raises(HfHubHTTPError) as caught:
        world.client(token).create_repo(f"{owner}/app", repo_type="space", space_sdk="docker")
    assert caught.value.response.status_code == status
    assert not world.client(OTHER).repo_exists(f"{owner}/app", repo_type="space")


@pytest.mark.parametrize("token", [None, OTHER])
def test_a_private_repository_does_not_exist_for_strangers(world: World, token: str | None) -> None:
    """To the client it is the same as one that is not there, whatever is asked."""
    world.create()
    stranger = world.client(token)
    with pytest.raises(RepositoryNotFoundError):
        stranger.space_info(SPACE)
    with pytest.raises(RepositoryNotFoundError):
        stranger.get_space_runtime(SPACE)
    with pytest.raises(RepositoryNotFoundError):
        stranger.space_info("me/missing")


def test_a_read_token_reads_and_changes_nothing(world: World) -> None:
    """Reading works; commits and settings are a 403."""
    world.create()
    reader = world.client(READ)
    before = reader.space_info(SPACE).sha
    for change in (
        lambda: reader.create_tag(SPACE, tag="v1", repo_type="space"),
        lambda: reader.add_space_variable(SPACE, "V", "x"),
        lambda: reader.update_repo_settings(SPACE, repo_type="space", visibility="public"),
        lambda: reader.delete_repo(SPACE, repo_type="space"),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            change()
        assert caught.value.response.status_code == 403
    assert reader.space_info(SPACE).sha == before


def test_a_bad_card_is_refused_before_the_commit(world: World) -> None:
    """The client asks first, and shows the Hub's words."""
    world.create()
    with pytest.raises(ValueError, match="colorFrom"):
        world.push({"README.md": b"---\nsdk: docker\ncolorFrom: teal\n---\n"})


def test_a_folder_is_served_as_a_model(world: World, tmp_path: Path) -> None:
    """The real download code gets every file of a mirror, large ones included, without a token."""
    source = tmp_path / "model"
    source.mkdir()
    (source / "config.json").write_text("{}")
    (source / "weights.bin").write_bytes(gzip.compress(bytes(range(256)) * 100))
    hub = LocalHub(tmp_path / "hub2", world.runner, mirrors={"org/model": source})
    assert hub.build_args == {"HF_ENDPOINT": hub.endpoint}
    with hub:
        folder = snapshot_download(
            "org/model",
            endpoint=hub.endpoint,
            token=False,
            cache_dir=tmp_path / "cache",
        )
        info = HfApi(endpoint=hub.endpoint, token=False).model_info("org/model", revision="a" * 40)
    assert Path(folder).name == info.sha  # whichever revision is asked for
    got = {p.name: p.read_bytes() for p in Path(folder).iterdir()}
    assert got == {p.name: p.read_bytes() for p in source.iterdir()}


@pytest.mark.parametrize("model_id", ["name-only", "org/model"])
def test_a_mirror_that_cannot_be_is_refused(tmp_path: Path, world: World, model_id: str) -> None:
    """A wrong id or a folder that is not there ends the start, and gives the port back."""
    folder = tmp_path if model_id == "name-only" else tmp_path / "none"
    with pytest.raises(OpsError, match=model_id):
        LocalHub(tmp_path / "hub2", world.runner, mirrors={model_id: folder})


def test_a_restarted_hub_has_its_repositories(tmp_path: Path, world: World) -> None:
    """Repositories, settings and the token are kept in the data folder; Spaces run again."""
    runner: FakeRunner = world.runner
    with LocalHub(tmp_path / "kept", runner) as hub:
        token = hub.token
        api = HfApi(endpoint=hub.endpoint, token=token)
        api.create_repo("app", repo_type="space", space_sdk="docker", visibility="private")
        api.add_space_secret("me/app", "S", "hidden")
        sha = api.space_info("me/app").sha
    with LocalHub(tmp_path / "kept", runner) as hub:
        assert hub.token == token
        api = HfApi(endpoint=hub.endpoint, token=token)
        assert api.space_info("me/app").sha == sha
        assert list(api.get_space_secrets("me/app")) == ["S"]


def test_what_it_lacks_is_said_so(world: World) -> None:
    """An unknown route is a 501 that names it, not a missing repository."""
    reply = loopback.get(f"{world.hub.endpoint}/api/kernels/me/data")
    assert reply.status_code == 501
    assert "/api/kernels/me/data" in reply.json()["error"]


def ask(
    world: World, method: str, path: str, token: str = WRITE, **options: Any
) -> httpx2.Response:
    """A request, as it is spelled."""
    headers = {"Authorization": f"Bearer {token}"}
    return loopback.request(method, f"{world.hub.endpoint}{path}", headers=headers, **options)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a--b"},
        {"name": "../x"},
        {"name": "x" * 97},
        {"name": "app.git"},
        {"name": 5},
        {"name": "x", "type": "space"},
        {"name": "x", "type": "space", "sdk": "flask"},
        {"name": "x", "type": "space", "sdk": "docker", "hardware": "imaginary"},
        {"name": "x", "type": "space", "sdk": "docker", "sleepTimeSeconds": -2},
        {"name": "x", "type": "space", "sdk": "docker", "sleepTimeSeconds": 0},
        {"name": "x", "type": "space", "sdk": "docker", "sleepTimeSeconds": 2**53},
        {"name": "x", "type": "space", "sdk": "docker", "secrets": [{"value": "hidden"}]},
        {
            "name": "x",
            "type": "space",
            "sdk": "docker",
            "secrets": [{"key": "1", "value": "hidden"}],
        },
        {"name": "x", "type": "space", "sdk": "docker", "secrets": [{"key": "K", "value": 5}]},
        {"name": "x", "visibility": "protected"},
        {"name": "x", "visibility": "secret"},
        {"name": "x", "visibility": "public", "private": True},
        {"name": "x", "files": [{"path": "../x", "content": ""}]},
        {"name": "x", "files": [{"path": "x", "content": "a", "encoding": "base64"}]},
        {"name": "x", "files": [{"path": "x", "content": "***", "encoding": "base64"}]},
    ],
)
def test_what_cannot_be_created_is_refused(world: World, body: dict[str, Any]) -> None:
    """With what is wrong, and never with a value; nothing is created."""
    reply = ask(world, "POST", "/api/repos/create", json=body)
    assert reply.status_code == 400, reply.text
    assert "hidden" not in reply.text
    assert not list((world.hub.data / "models" / "me").glob("*"))
    assert not list((world.hub.data / "spaces" / "me").glob("*"))


def test_what_a_local_hub_lacks_is_refused_plainly(world: World) -> None:
    """Templates, other kinds of repositories, GPUs for nothing."""
    for body in (
        {"type": "kernel"},
        {"type": "bucket"},
        {"type": "space", "sdk": "docker", "template": "x"},
    ):
        reply = ask(world, "POST", "/api/repos/create", json={"name": "x", **body})
        assert reply.status_code == 501
    assert ask(world, "GET", "/api/spaces/zero-gpu/quota").status_code == 501


def test_a_repository_may_be_created_with_files(world: World) -> None:
    """In its first commit; a license is in the card."""
    files = [{"path": "a", "content": "eA==", "encoding": "base64"}, {"path": "b", "content": "y"}]
    body = {"name": "x", "license": "mit", "files": files}
    assert ask(world, "POST", "/api/repos/create", json=body).status_code == 200
    assert set(world.api.list_repo_files("me/x")) == {".gitattributes", "README.md", "a", "b"}
    assert world.api.model_info("me/x").card_data.license == "mit"
    assert len(world.api.list_repo_commits("me/x")) == 1


def test_a_name_in_another_case_is_taken(world: World) -> None:
    """The client is told which repository has it."""
    world.api.create_repo("Model")
    assert world.api.create_repo("model", exist_ok=True).repo_id == "me/Model"
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.create_repo("MODEL")
    assert caught.value.response.status_code == 409


def test_a_moved_repository_is_found_by_its_old_name(world: World, tmp_path: Path) -> None:
    """The client is led on, with method, body and token; strangers are told nothing."""
    world.create()
    world.push({"VERSION": b"1"})
    world.wait_for_stage("RUNNING")
    before = world.runner.started[-1]
    world.api.move_repo(SPACE, "team/new", repo_type="space")
    with pytest.raises(httpx2.TransportError):
        loopback.get(before.url)
    assert world.api.space_info(SPACE).id == "team/new"
    world.push({"VERSION": b"2"})
    world.api.add_space_variable(SPACE, "V", "x")
    path = world.api.hf_hub_download(SPACE, "VERSION", repo_type="space", cache_dir=tmp_path)
    assert Path(path).read_bytes() == b"2"
    assert world.wait(lambda raw: raw["stage"] == "RUNNING")
    with pytest.raises(RepositoryNotFoundError):
        world.client(OTHER).space_info(SPACE)
    with pytest.raises(RepositoryNotFoundError):
        world.client(OTHER).space_info("team/new")
    world.create()
    assert world.api.space_info(SPACE).id == SPACE


@pytest.mark.parametrize(
    ("source", "target", "status"),
    [
        ("me/app", "me/taken", 409),
        ("me/app", "me/app", 409),
        ("me/app", "me/TAKEN", 409),
        ("me/app", "other/app", 403),
        ("other/app", "me/x", 403),
        ("me/none", "me/x", 404),
        ("me/app", "me/a--b", 400),
        ("me/app", "app", 400),
        ("me/app", "../x", 400),
    ],
)
def test_a_move_that_cannot_be_changes_nothing(
    world: World, source: str, target: str, status: int
) -> None:
    """The repository stays where it is."""
    for name in ("app", "taken"):
        world.api.create_repo(name)
    body = {"fromRepo": source, "toRepo": target, "type": "model"}
    assert ask(world, "POST", "/api/repos/move", json=body).status_code == status
    assert {m.id for m in world.api.list_models(author="me")} == {"me/app", "me/taken"}


def test_a_duplicate_has_everything_but_the_secrets(world: World) -> None:
    """Files, visibility, hardware and variables; what is given takes their place."""
    world.create(
        space_hardware="cpu-upgrade",
        space_sleep_time=600,
        space_secrets=[{"key": "S", "value": "hidden"}],
        space_variables=[{"key": "V", "value": "1"}, {"key": "W", "value": "2"}],
    )
    world.push({"VERSION": b"1"})
    world.api.duplicate_repo(SPACE, "me/copy", repo_type="space")
    info = world.api.space_info("me/copy", files_metadata=True)
    assert {s.rfilename for s in info.siblings} >= {"VERSION", "Dockerfile", ".gitattributes"}
    assert (info.private, info.runtime.requested_hardware) == (True, "cpu-upgrade")
    assert list(world.api.get_space_secrets("me/copy")) == []
    assert len(world.api.list_repo_commits("me/copy", repo_type="space")) == 1
    world.api.duplicate_repo(
        SPACE,
        "team/other",
        repo_type="space",
        visibility="public",
        space_hardware="t4-small",
        space_secrets=[{"key": "T", "value": "hidden"}],
        space_variables=[{"key": "W", "value": "3"}],
    )
    variables = world.api.get_space_variables("team/other")
    assert {name: v.value for name, v in variables.items()} == {"V": "1", "W": "3"}
    assert list(world.api.get_space_secrets("team/other")) == ["T"]
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.duplicate_repo(SPACE, "me/copy", repo_type="space")
    assert caught.value.response.status_code == 409
    assert world.api.duplicate_repo(SPACE, "me/copy", repo_type="space", exist_ok=True)
    with pytest.raises(RepositoryNotFoundError):
        world.client(OTHER).duplicate_repo(SPACE, "other/copy", repo_type="space")
    with pytest.raises(HfHubHTTPError) as caught:
        world.client(FREE).duplicate_repo(
            "team/other", "free/copy", repo_type="space", space_hardware="cpu-basic"
        )
    assert caught.value.response.status_code == 402


def test_only_what_is_asked_for_is_told(world: World) -> None:
    """`expand` gives its fields and the id; a name that is none is a 400."""
    world.create()
    info = world.api.space_info(SPACE, expand=["sdk", "runtime", "usedStorage"])
    assert (info.id, info.sdk, info.runtime is None) == (SPACE, "docker", False)
    assert info.used_storage > 0
    assert (info.sha, info.siblings, info.card_data) == (None, None, None)
    for kind in ("spaces", "models"):
        world.api.create_repo("x", exist_ok=True)
        repo = SPACE if kind == "spaces" else "me/x"
        assert ask(world, "GET", f"/api/{kind}/{repo}?expand=nothing").status_code == 400
    assert ask(world, "GET", "/api/models/me/x?expand=sdk").status_code == 400
    assert ask(world, "GET", "/api/models/me/x?expand=gguf&expand=sha").json().keys() == {
        "_id",
        "id",
        "sha",
    }


def test_repositories_are_listed_for_who_may_see_them(world: World) -> None:
    """By owner and part of the name, in pages, each kind for itself."""
    for name in ("alpha", "beta", "gamma"):
        world.api.create_repo(name, visibility="private" if name == "beta" else "public")
    world.client(OTHER).create_repo("alpha")
    world.create()

    def ids(api: HfApi, **options: Any) -> set[str]:
        return {model.id for model in api.list_models(**options)}

    mine = {"me/alpha", "me/beta", "me/gamma"}
    assert ids(world.api) == mine | {"other/alpha"}
    assert ids(world.api, author="me") == mine
    assert ids(world.client(OTHER), author="me") == mine - {"me/beta"}
    assert ids(world.api, search="ALPH") == {"me/alpha", "other/alpha"}
    assert len(list(world.api.list_models(author="me", limit=2))) == 2
    assert [s.id for s in world.api.list_spaces(author="me", filter="docker")] == [SPACE]
    assert [s.id for s in world.api.list_spaces(filter="gradio")] == []
    [whole] = world.api.list_spaces(full=True)
    assert whole.siblings
    newest = next(iter(world.api.list_models(sort="created_at")))
    assert newest.id == "other/alpha"
    first = ask(world, "GET", "/api/models?limit=2&author=me")
    second = loopback.get(first.links["next"]["url"], headers={"Authorization": f"Bearer {WRITE}"})
    assert [m["id"] for m in first.json() + second.json()] == sorted(mine)
    assert ask(world, "GET", "/api/models?sort=beauty").status_code == 400


def test_what_is_deleted_meanwhile_is_not_listed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is of those that are left, wherever in it somebody else deletes another one."""
    for name in ("gone", "left"):
        world.api.create_repo(f"me/{name}")
    of = Facts.of

    def of_the_rest(self: Facts, names: Iterable[str]) -> dict[str, Any]:
        with suppress(HubError):
            self.hub.store.delete(self.hub.store.find("models", "me", "gone"))
        return of(self, names)

    monkeypatch.setattr(Facts, "of", of_the_rest)
    reply = ask(world, "GET", "/api/models?full=true")
    assert [model["id"] for model in reply.json()] == ["me/left"]


def test_settings_that_cannot_be_are_refused(world: World) -> None:
    """Only Spaces are protected; what is no setting is said so."""
    world.api.create_repo("x")
    world.create()
    world.api.update_repo_settings(SPACE, repo_type="space", visibility="protected")
    assert not world.api.space_info(SPACE).private
    for body in (
        {},
        {"visibility": "protected"},
        {"visibility": 1},
        {"gated": True},
        {"gated": "maybe"},
        {"private": "yes"},
    ):
        assert ask(world, "PUT", "/api/models/me/x/settings", json=body).status_code == 400


def test_a_full_disk_is_said_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a status that clients do not try again, on a connection that goes on."""
    world.create()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    headers = {"Authorization": f"Bearer {WRITE}"}
    with httpx2.Client(base_url=world.hub.endpoint, headers=headers) as http:
        with monkeypatch.context() as disk:
            disk.setattr("ops.files.os.fsync", full)
            reply = http.put(f"/api/spaces/{SPACE}/settings", json={"visibility": "public"})
        assert reply.status_code == 507
        assert "No space is left" in reply.json()["error"]
        assert reply.headers["x-error-message"] == reply.json()["error"]
        assert http.get(f"/api/spaces/{SPACE}").json()["private"] is True


def test_rights_can_be_asked_for(world: World) -> None:
    """To read and to write, without doing either."""
    world.create()
    world.api.auth_check(SPACE, repo_type="space", write=True)
    world.client(READ).auth_check(SPACE, repo_type="space")
    with pytest.raises(HfHubHTTPError) as caught:
        world.client(READ).auth_check(SPACE, repo_type="space", write=True)
    assert caught.value.response.status_code == 403
    with pytest.raises(RepositoryNotFoundError):
        world.client(OTHER).auth_check(SPACE, repo_type="space")


def test_cards_of_every_kind_are_looked_at(world: World) -> None:
    """The client refuses to commit a model's card that the Hub cannot read, and warns of none."""
    world.api.create_repo("x")
    bad = [CommitOperationAdd("README.md", b"---\ntags: [a\n---\n")]
    with pytest.raises(ValueError, match="cannot be parsed"):
        world.api.create_commit("me/x", bad, commit_message="x")
    with pytest.warns(UserWarning, match="empty or missing yaml"):
        world.api.create_commit(
            "me/x", [CommitOperationAdd("README.md", b"text")], commit_message="x"
        )
    dated = [CommitOperationAdd("README.md", b"---\nday: 2026-01-02\n---\n")]
    world.api.create_commit("me/x", dated, commit_message="x")
    assert world.api.model_info("me/x").card_data.to_dict() == {"day": "2026-01-02"}
