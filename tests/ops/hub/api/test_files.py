from __future__ import annotations

import hashlib
import itertools
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import OTHER, WRITE, hub_world
from huggingface_hub import CommitOperationAdd, hf_hub_url, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RevisionNotFoundError

from ops.hub.repository import Author, LargeFile, WriteLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2
    from hub_world import World

    from ops.hub.repository import Repository

_numbers = itertools.count()
LARGE = bytes(range(256)) * 10
LARGE_OID = hashlib.sha256(LARGE).hexdigest()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Hub for all tests here; each has a repository of its own."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        yield world


@pytest.fixture
def repo(world: World) -> str:
    """A model with a text and a large file, each in a folder."""
    name = f"me/model-{next(_numbers)}"
    world.api.create_repo(name)
    add(world, name, {"d/e/text": b"0123456789", "top": b"x"})
    git = git_of(world, name)
    large = LargeFile(LARGE_OID, len(LARGE))
    path = git.large_path(large)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(LARGE)
    git.commit([WriteLarge("d/big.bin", large)], message="large\n", author=Author("me"))
    return name


def git_of(world: World, repo: str) -> Repository:
    """The repository on disk."""
    return world.hub._state.store.find("models", *repo.split("/")).git


def add(world: World, repo: str, files: dict[str, bytes], revision: str | None = None) -> str:
    """Commit files."""
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    title = " ".join(files)[:50]
    return str(
        world.api.create_commit(repo, operations, commit_message=title, revision=revision).oid
    )


def push_by_hand(world: World, repo: str, stream: bytes) -> None:
    """What git can put on main and the API cannot."""
    git_dir = str(git_of(world, repo).git_dir)
    head = b"commit refs/heads/main\ncommitter x <x> 1 +0000\ndata 1\nxfrom refs/heads/main^0\n"
    command = ["git", "--git-dir", git_dir, "fast-import", "--quiet"]
    subprocess.run(command, input=head + stream, check=True)


def get(world: World, path: str, method: str = "GET", **headers: str) -> httpx2.Response:
    """A request of the owner's, just as it is spelled."""
    headers = {"Authorization": f"Bearer {WRITE}"} | headers
    return loopback.request(method, f"{world.hub.endpoint}{path}", headers=headers)


def test_a_long_tree_comes_in_pages(world: World, repo: str) -> None:
    """A thousand entries at a time; the client follows to the last, and gets each once."""
    names = {f"many/{n:04}" for n in range(1001)}
    add(world, repo, dict.fromkeys(names, b"x"))
    listed = [e.path for e in world.api.list_repo_tree(repo, "many")]
    assert len(listed) == 1001
    assert set(listed) == names
    first = get(world, f"/api/models/{repo}/tree/main/many?limit=3&recursive=true")
    assert len(first.json()) == 3
    second = loopback.get(first.links["next"]["url"]).json()
    assert [e["path"] for e in second] == ["many/0003", "many/0004", "many/0005"]
    for query in ("limit=0", "limit=x", "cursor=%25%25", "cursor=gA"):
        assert get(world, f"/api/models/{repo}/tree/main?{query}").status_code == 400


def test_each_entry_knows_its_last_commit(world: World, repo: str) -> None:
    """Of files and folders; a folder's is the newest in it; fifty at a time."""
    add(world, repo, {f"n/{number}": b"x" for number in range(60)})
    newest = add(world, repo, {"n/7": b"changed"})
    found = {e.path: e for e in world.api.list_repo_tree(repo, recursive=True, expand=True)}
    assert len(found) == 67
    titles = {path: entry.last_commit.title for path, entry in found.items() if entry.last_commit}
    assert (titles["n/7"], titles["n"], titles["d/e"]) == ("n/7", "n/7", "d/e/text top")
    assert titles["d"] == "large"
    assert found["n/7"].last_commit.oid == newest
    only = world.api.get_paths_info(repo, ["d", "top"], expand=True)
    assert [e.last_commit.title for e in only] == ["large", "d/e/text top"]


def test_revisions_and_paths_may_have_slashes(world: World, repo: str) -> None:
    """They come quoted, and are told from the slashes of the address."""
    world.api.create_branch(repo, branch="a/b")
    add(world, repo, {"d/e/ü #?%2F": b"odd"}, "a/b")
    tree = world.api.list_repo_tree(repo, "d/e", revision="a/b")
    assert [e.path for e in tree] == ["d/e/text", "d/e/ü #?%2F"]
    assert len(world.api.get_paths_info(repo, ["d/e/ü #?%2F"], revision="a/b")) == 1
    url = hf_hub_url(repo, "d/e/ü #?%2F", revision="a/b", endpoint=world.hub.endpoint)
    assert loopback.get(url).content == b"odd"
    assert len(world.api.list_repo_commits(repo, revision="a/b")) == 4
    with pytest.raises(EntryNotFoundError):
        list(world.api.list_repo_tree(repo, "d/none", revision="a/b"))


def test_paths_are_looked_up_by_form_and_json(world: World, repo: str) -> None:
    """Those that exist, each once, in the order of the question."""
    url = f"{world.hub.endpoint}/api/models/{repo}/paths-info/main"
    paths = ["top", "d", "none", "d/e/text", "d/", "../x", "a\0b"]
    for options in ({"data": {"paths": paths}}, {"json": {"paths": paths, "expand": False}}):
        found = [(e["path"], e["type"]) for e in loopback.post(url, **options).json()]
        assert found == [("top", "file"), ("d", "directory"), ("d/e/text", "file")]
    assert loopback.post(url, json={"paths": "top"}).json()[0]["size"] == 1
    for body in ({"paths": [1]}, {"paths": ["x"] * 2001}):
        assert loopback.post(url, json=body).status_code == 400


def test_sizes_are_those_of_the_contents(world: World, repo: str) -> None:
    """A large file counts with all of it, in trees and in their sizes."""
    [entry] = world.api.get_paths_info(repo, ["d/big.bin"])
    assert (entry.size, entry.lfs.sha256, entry.lfs.size) == (2560, LARGE_OID, 2560)
    assert get(world, f"/api/models/{repo}/treesize/main/d").json() == {"path": "/d", "size": 2570}
    [large] = world.api.list_lfs_files(repo)
    assert (large.filename, large.oid, large.size) == ("d/big.bin", LARGE_OID, 2560)


def test_a_file_comes_back_as_it_was_sent(world: World, repo: str, tmp_path: Path) -> None:
    """Downloads are the bytes of the revision that was asked for."""
    first = add(world, repo, {"data.txt": b"one\r\n\xff"})
    add(world, repo, {"data.txt": b"two"})
    for revision, content in (
        (first, b"one\r\n\xff"),
        ("main", b"two"),
        (first[:7], b"one\r\n\xff"),
    ):
        path = world.api.hf_hub_download(repo, "data.txt", revision=revision, cache_dir=tmp_path)
        assert Path(path).read_bytes() == content


@pytest.mark.parametrize("name", ["a\nb", "d\n/a", "end\n"])
def test_a_name_may_have_line_breaks(world: World, repo: str, tmp_path: Path, name: str) -> None:
    """Git allows them, so what was committed under such a name is listed and downloaded."""
    add(world, repo, {name: b"odd"})
    assert name in world.api.list_repo_files(repo)
    downloaded = world.api.hf_hub_download(repo, name, cache_dir=tmp_path)
    assert Path(downloaded).read_bytes() == b"odd"


def test_what_is_missing_is_named(world: World, repo: str, tmp_path: Path) -> None:
    """A missing file and a missing revision are told apart, as the client expects."""
    with pytest.raises(EntryNotFoundError):
        world.api.hf_hub_download(repo, "no", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        world.api.hf_hub_download(repo, "top", revision="no", cache_dir=tmp_path)


def test_a_path_is_only_a_path(world: World, repo: str) -> None:
    """Whatever git would take for more than that, or for a pattern, is a name like others."""
    add(world, repo, {":(top)d": b"odd", "d/*": b"star"})
    for path in (":(top)d", ":/d", "*", "d/[e]"):
        tree = get(world, f"/api/models/{repo}/tree/main/{path}")
        assert tree.status_code == 404, path
    assert [e.path for e in world.api.get_paths_info(repo, ["d/*", ":(top)d", ":/d"])] == [
        "d/*",
        ":(top)d",
    ]


@pytest.mark.parametrize(("path", "content"), [("d/e/text", b"0123456789"), ("d/big.bin", LARGE)])
def test_a_file_is_sent_whole_or_in_part(
    world: World, repo: str, path: str, content: bytes
) -> None:
    """HEAD says how much there is; a range is that part of it (RFC 9110)."""
    url = f"/{repo}/resolve/main/{path}"
    head, whole = get(world, url, "HEAD"), get(world, url)
    assert int(head.headers["content-length"]) == len(content) == len(whole.content)
    assert whole.content == content
    assert head.headers["x-repo-commit"] == world.api.model_info(repo).sha
    assert "x-xet-hash" not in head.headers
    for asked, part in {"0-3": content[:4], "4-": content[4:], "-3": content[-3:]}.items():
        reply = get(world, url, Range=f"bytes={asked}")
        assert (reply.status_code, reply.content) == (206, part)
        assert reply.headers["content-range"].endswith(f"/{len(content)}")
    beyond = get(world, url, Range=f"bytes={len(content)}-")
    assert beyond.status_code == 416
    assert beyond.headers["content-range"].endswith(f"*/{len(content)}")
    same = get(world, url, **{"If-None-Match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


def test_a_large_file_is_known_by_its_content(world: World, repo: str) -> None:
    """Its ETag is the sha256, by which the client names it in its cache."""
    head = get(world, f"/{repo}/resolve/main/d/big.bin", "HEAD").headers
    assert head["x-linked-etag"] == head["etag"] == f'"{LARGE_OID}"'
    assert head["x-linked-size"] == str(len(LARGE))


@pytest.mark.parametrize(
    "path",
    [
        "..%2F..%2Fsettings.json",
        "%2e%2e/%2e%2e/settings.json",
        "d/..%2f..%2f..%2fsettings.json",
        "%2Fetc%2Fpasswd",
        ".git/config",
        "d%00",
        "d",
        "none",
    ],
)
def test_what_is_no_file_is_not_found(world: World, repo: str, path: str) -> None:
    """Whatever way out of the repository is tried, quoted or not."""
    for address in (f"/{repo}/resolve/main/{path}", f"/api/models/{repo}/tree/main/{path}/x"):
        reply = get(world, address)
        assert (reply.status_code, reply.headers["x-error-code"]) == (404, "EntryNotFound")


def test_what_only_git_can_bring_breaks_nothing(world: World, repo: str, tmp_path: Path) -> None:
    """A name that is not UTF-8, a link, a submodule: listed or left out, and the rest is read."""
    push_by_hand(
        world,
        repo,
        b'M 100644 inline "\\377"\ndata 1\nx\n'
        b"M 120000 inline link\ndata 16\n../../etc/passwd\n"
        b"M 160000 " + b"1" * 40 + b" module\n",
    )
    listed = {e.path: e for e in world.api.list_repo_tree(repo)}
    assert set(listed) == {".gitattributes", "d", "link", "top", "�"}
    assert listed["link"].size == 16
    assert get(world, f"/{repo}/resolve/main/link").text == "../../etc/passwd"
    assert "�" in world.api.list_repo_files(repo)
    add(world, repo, {"after": b"x"})
    snapshot_download(
        repo, endpoint=world.hub.endpoint, token=WRITE, local_dir=tmp_path, allow_patterns=["top"]
    )
    assert (tmp_path / "top").read_bytes() == b"x"


def test_a_pointer_without_content_is_not_found(world: World, repo: str) -> None:
    """Git can push one whose content was never uploaded; to a client there is no such file."""
    pointer = LargeFile("0" * 64, 5).pointer()
    push_by_hand(world, repo, b"M 100644 inline lost.bin\ndata %d\n%b\n" % (len(pointer), pointer))
    assert get(world, f"/{repo}/resolve/main/lost.bin").status_code == 404


def test_a_gated_repository_is_seen_and_not_read(world: World, repo: str) -> None:
    """Strangers learn that it is there and that they must ask; its owner reads it."""
    world.api.update_repo_settings(repo, repo_type="model", gated="manual")
    stranger = world.client(OTHER)
    assert stranger.model_info(repo).gated == "manual"
    with pytest.raises(GatedRepoError):
        stranger.auth_check(repo)
    with pytest.raises(GatedRepoError):
        stranger.hf_hub_download(repo, "top")
    world.api.auth_check(repo, write=True)
    assert get(world, f"/{repo}/resolve/main/top").content == b"x"
    world.api.update_repo_settings(repo, repo_type="model", gated=False)
    stranger.auth_check(repo)
