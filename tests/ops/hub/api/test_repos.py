from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from hub_world import FREE, OTHER, READ, SPACE, WRITE
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ops.errors import OpsError
from ops.hub import LocalHub

if TYPE_CHECKING:
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


def test_a_commit_adds_and_deletes_at_once(world: World) -> None:
    """The tree afterwards has git's own blob ids; files and folders that were deleted are gone."""
    world.create()
    world.push({"a/b.txt": b"hello\n", "c/d.txt": b""})
    info = world.api.create_commit(
        SPACE,
        [
            CommitOperationAdd("a/b.txt", b"hello\n"),
            CommitOperationAdd("unused", b"x"),
            CommitOperationDelete("c/"),
        ],
        commit_message="title",
        commit_description="why",
        repo_type="space",
    )
    tree = {e.path: e for e in world.api.list_repo_tree(SPACE, repo_type="space", recursive=True)}
    assert "c/d.txt" not in tree
    assert tree["a/b.txt"].blob_id == "ce013625030ba8dba906f756967f9e9ca394464a"
    newest = world.api.list_repo_commits(SPACE, repo_type="space")[0]
    assert (newest.commit_id, newest.title, newest.message) == (info.oid, "title", "why")
    assert newest.authors == ["me"]


def test_a_lost_race_is_a_412(world: World) -> None:
    """A commit whose parent is no longer the newest is refused and changes nothing."""
    world.create()
    old = world.api.space_info(SPACE).sha
    newest = world.push({})
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.create_commit(
            SPACE,
            [CommitOperationAdd("x", b"x")],
            commit_message="late",
            repo_type="space",
            parent_commit=old,
        )
    assert caught.value.response.status_code == 412
    assert world.api.space_info(SPACE).sha == newest


def test_a_bad_card_is_refused_before_the_commit(world: World) -> None:
    """The client asks first, and shows the Hub's words."""
    world.create()
    with pytest.raises(ValueError, match="colorFrom"):
        world.push({"README.md": b"---\nsdk: docker\ncolorFrom: teal\n---\n"})


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b'{"key": "header", "value": {}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "file", "value": {}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "explode", "value": {}}',
        b'{"key": "header", "value": {"summary": "x"}}\n["file"]',
    ],
)
def test_a_malformed_commit_is_a_400(world: World, body: bytes) -> None:
    """What is no commit of the protocol is refused, not half carried out."""
    world.create()
    before = world.api.space_info(SPACE).sha
    reply = httpx2.post(
        f"{world.hub.endpoint}/api/spaces/{SPACE}/commit/main",
        content=body,
        headers={"Authorization": f"Bearer {WRITE}"},
    )
    assert reply.status_code == 400
    assert world.api.space_info(SPACE).sha == before


def test_a_file_comes_back_as_it_was_sent(world: World, tmp_path: Path) -> None:
    """Downloads are the bytes of the revision that was asked for."""
    world.create()
    first = world.push({"data.txt": b"one\r\n\xff"})
    world.push({"data.txt": b"two"})
    for revision, content in ((first, b"one\r\n\xff"), ("main", b"two")):
        path = hf_hub_download(
            SPACE,
            "data.txt",
            repo_type="space",
            revision=revision,
            endpoint=world.hub.endpoint,
            token=WRITE,
            cache_dir=tmp_path,
        )
        assert Path(path).read_bytes() == content


def test_what_is_missing_is_named(world: World, tmp_path: Path) -> None:
    """A missing file and a missing revision are told apart, as the client expects."""
    world.create()
    options = {"endpoint": world.hub.endpoint, "token": WRITE, "cache_dir": tmp_path}
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(SPACE, "no", repo_type="space", **options)
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download(SPACE, "README.md", repo_type="space", revision="no", **options)


def test_tags_and_paths(world: World) -> None:
    """Tags are made, listed and removed; paths-info knows what exists."""
    world.create()
    commit = world.push({"a/b.txt": b"x"})
    world.api.create_tag(SPACE, tag="release-1", tag_message="m", repo_type="space")
    refs = world.api.list_repo_refs(SPACE, repo_type="space")
    assert [(t.name, t.target_commit) for t in refs.tags] == [("release-1", commit)]
    assert [b.name for b in refs.branches] == ["main"]
    world.api.delete_tag(SPACE, tag="release-1", repo_type="space")
    assert world.api.list_repo_refs(SPACE, repo_type="space").tags == []
    found = world.api.get_paths_info(SPACE, ["a/b.txt", "a", "none"], repo_type="space")
    assert {f.path for f in found} == {"a/b.txt", "a"}


def test_a_large_file_is_refused_for_now(world: World) -> None:
    """Uploading one needs the large-file store, which this Hub says it lacks."""
    world.create()
    with pytest.raises((HfHubHTTPError, ConnectionError)):
        world.push({"big.bin": b"\0" * 100})


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
    reply = httpx2.get(f"{world.hub.endpoint}/api/kernels/me/data")
    assert reply.status_code == 501
    assert "/api/kernels/me/data" in reply.json()["error"]
