from __future__ import annotations

import base64
import hashlib
import itertools
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import OTHER, READ, WRITE, hub_world
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError, RemoteEntryNotFoundError, RevisionNotFoundError

from ops.hub.api.call import MAX_BODY
from ops.hub.api.commit_body import MAX_LINE
from ops.hub.repository import LFS_THRESHOLD, LargeFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2
    from hub_world import World

_numbers = itertools.count()
LARGE = b"\0large" * 20
LARGE_OID = hashlib.sha256(LARGE).hexdigest()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Hub for all tests here; each has a repository of its own."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        yield world


@pytest.fixture
def repo(world: World) -> str:
    """A model with the files a.txt, d/1 and d/2."""
    name = f"me/model-{next(_numbers)}"
    world.api.create_repo(name)
    operations = [CommitOperationAdd(path, path.encode()) for path in ("a.txt", "d/1", "d/2")]
    world.api.create_commit(name, operations, commit_message="first")
    return name


def lines(*entries: tuple[str, Any], summary: str = "change") -> bytes:
    """A commit as the client sends it."""
    header = ("header", {"summary": summary})
    return b"\n".join(
        json.dumps({"key": key, "value": value}).encode() for key, value in (header, *entries)
    )


def post(
    world: World, repo: str, body: bytes, *, revision: str = "main", **headers: str
) -> httpx2.Response:
    """A commit by its owner."""
    headers = {"Authorization": f"Bearer {WRITE}", "Content-Type": "application/x-ndjson"} | headers
    url = f"{world.hub.endpoint}/api/models/{repo}/commit/{revision}"
    return loopback.post(url, content=body, headers=headers)


def files(world: World, repo: str, revision: str = "main") -> dict[str, bytes]:
    """What a revision has, without .gitattributes."""
    git = world.hub._state.store.find("models", *repo.split("/")).git
    entries = git.tree(git.resolve(revision), recursive=True)
    return {
        e.path: git.large_path(e.large).read_bytes() if e.large else git.read(e)
        for e in entries
        if e.kind == "file" and e.path != ".gitattributes"
    }


def keep_large(world: World, repo: str) -> None:
    """Have the content of a large file in the repository's store."""
    git = world.hub._state.store.find("models", *repo.split("/")).git
    path = git.large_path(LargeFile(LARGE_OID, len(LARGE)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(LARGE)


def test_every_operation_is_carried_out_in_order(world: World, repo: str) -> None:
    """Files in both encodings, large files, moves, copies of large files, deletions."""
    keep_large(world, repo)
    operations = (
        ("file", {"path": "plain", "content": "ü"}),
        ("file", {"path": "coded", "content": "AAH/", "encoding": "base64"}),
        ("lfsFile", {"path": "big.bin", "algo": "sha256", "oid": LARGE_OID, "size": len(LARGE)}),
        ("lfsFile", {"path": "big-copy.bin", "oid": LARGE_OID}),
        ("file", {"path": "e/moved", "oldPath": "a.txt"}),
        ("lfsFile", {"path": "big-moved.bin", "oldPath": "big-copy.bin"}),
        ("file", {"path": "e/changed", "oldPath": "d/1", "content": "new"}),
        ("deletedFile", {"path": "d/2"}),
        ("file", {"path": "f/1", "content": ""}),
        ("file", {"path": "g", "content": ""}),
        ("deletedFolder", {"path": "f/"}),
        ("deletedEntry", {"path": "g"}),
    )
    reply = post(world, repo, lines(*operations))
    assert reply.status_code == 200, reply.text
    assert reply.json()["commitOid"] == world.api.model_info(repo).sha
    assert files(world, repo) == {
        "plain": "ü".encode(),
        "coded": b"\0\x01\xff",
        "big.bin": LARGE,
        "big-moved.bin": LARGE,
        "e/moved": b"a.txt",
        "e/changed": b"new",
    }


def test_a_commit_may_be_one_json_object(world: World, repo: str) -> None:
    """The older form of the description does the same."""
    body = {
        "summary": "one",
        "description": "object",
        "files": [{"path": "new", "content": "aGk=", "encoding": "base64"}],
        "deletedEntries": [{"path": "d"}],
    }
    reply = post(world, repo, json.dumps(body).encode(), **{"Content-Type": "application/json"})
    assert reply.status_code == 200
    assert files(world, repo) == {"new": b"hi", "a.txt": b"a.txt"}
    newest = world.api.list_repo_commits(repo)[0]
    assert (newest.title, newest.message) == ("one", "object")


def test_the_client_adds_and_deletes_at_once(world: World, repo: str) -> None:
    """The tree has git's own blob ids; the commit has its author, title and description."""
    info = world.api.create_commit(
        repo,
        [
            CommitOperationAdd("a/b.txt", b"hello\n"),
            CommitOperationDelete("d/"),
            CommitOperationDelete("a.txt"),
        ],
        commit_message="title",
        commit_description="why",
    )
    tree = {e.path: e for e in world.api.list_repo_tree(repo, recursive=True)}
    assert set(tree) == {".gitattributes", "a", "a/b.txt"}
    assert tree["a/b.txt"].blob_id == "ce013625030ba8dba906f756967f9e9ca394464a"
    newest = world.api.list_repo_commits(repo)[0]
    assert (newest.commit_id, newest.title, newest.message) == (info.oid, "title", "why")
    assert newest.authors == ["me"]
    assert info.commit_url == f"{world.hub.endpoint}/{repo}/commit/{info.oid}"


FILE = {"path": "x", "content": "x"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no json", 400),
        (b"\xff\xfe", 400),
        (b'["header"]', 400),
        (b"[" * 100_000, 400),
        (lines(("file", FILE))[:-9], 400),
        (lines(("file", FILE), summary=""), 400),
        (lines(("file", FILE)).split(b"\n")[1], 400),
        (lines(("header", {"summary": "twice"})), 400),
        (lines(("explode", FILE)), 400),
        (lines((["file"], FILE)), 400),
        (lines(("file", None)), 400),
        (lines(("file", {"path": "x"})), 400),
        (lines(("file", {"path": 1, "content": "x"})), 400),
        (lines(("file", {"path": "x", "content": 1})), 400),
        (lines(("file", {"path": "x", "content": "%%%%", "encoding": "base64"})), 400),
        (lines(("file", {"path": "x", "content": "YQ=", "encoding": "base64"})), 400),
        (lines(("file", {"path": "x", "content": "x", "encoding": "latin-1"})), 400),
        (lines(("file", {"path": "x", "content": "\ud800"})), 400),
        (lines(("file", {"path": "\ud800", "content": "x"})), 400),
        (lines(("file", FILE), ("file", {"path": "../x", "content": "x"})), 400),
        (lines(("file", {"path": "/etc/x", "content": "x"})), 400),
        (lines(("file", {"path": ".git/config", "content": "x"})), 400),
        (lines(("file", {"path": "n" * 256, "content": "x"})), 400),
        (lines(("file", {"path": "x", "oldPath": "none"})), 404),
        (lines(("file", {"path": "../x", "oldPath": "a.txt"})), 400),
        (lines(("file", {"path": "d", "content": "x"})), 400),
        (lines(("file", {"path": "a.txt/x", "content": "x"})), 400),
        (lines(("file", FILE), ("file", {"path": "x/y", "content": "x"})), 400),
        (lines(("file", FILE), ("deletedFile", {"path": "none"})), 404),
        (lines(("deletedFile", {"path": "d"})), 404),
        (lines(("deletedFolder", {"path": "a.txt"})), 404),
        (lines(("lfsFile", {"path": "x", "oid": "0" * 64, "size": 1})), 422),
        (lines(("lfsFile", {"path": "x", "oid": LARGE_OID, "size": 1})), 400),
        (lines(("lfsFile", {"path": "x", "oid": "../../settings", "size": 1})), 400),
        (lines(("lfsFile", {"path": "x", "oid": LARGE_OID, "algo": "md5"})), 400),
        (lines(("lfsFile", {"path": "x"})), 400),
        (lines(("file", FILE | {"path": "y"}), ("lfsFile", {"path": "x", "oid": 5})), 400),
    ],
)
def test_what_is_no_commit_is_refused_whole(
    world: World, repo: str, body: bytes, status: int
) -> None:
    """Each is answered with what is wrong, and main is where it was."""
    keep_large(world, repo)
    before = world.api.model_info(repo).sha
    reply = post(world, repo, body)
    assert reply.status_code == status, reply.text
    assert reply.json()["error"]
    assert world.api.model_info(repo).sha == before


def test_what_is_too_large_is_refused(world: World, repo: str) -> None:
    """A line that never ends, and a file that should have been uploaded as a large one."""
    before = world.api.model_info(repo).sha
    endless = lines() + b"\n" + b"x" * (MAX_LINE + 1)
    assert post(world, repo, endless).status_code == 413
    content = base64.b64encode(b"x" * (LFS_THRESHOLD + 1)).decode()
    entry = ("file", {"path": "x", "content": content, "encoding": "base64"})
    assert post(world, repo, lines(entry)).status_code == 413
    whole = b'{"summary": "' + b"x" * MAX_BODY + b'"}'
    reply = post(world, repo, whole, **{"Content-Type": "application/json"})
    assert reply.status_code == 413
    assert world.api.model_info(repo).sha == before


def test_a_commit_that_breaks_off_changes_nothing(world: World, repo: str) -> None:
    """Whole lines that came before the connection was lost are no commit."""
    before = world.api.model_info(repo).sha
    # More than all buffers on the way hold: once it is sent, most of it was read.
    files = (("file", {"path": f"n/{n}", "content": "x" * 2**20}) for n in range(30))
    body = lines(*files) + b"\n"
    address = urlsplit(world.hub.endpoint)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = (
            f"POST /api/models/{repo}/commit/main HTTP/1.1\r\nHost: hub\r\n"
            f"Authorization: Bearer {WRITE}\r\nContent-Length: {len(body) + 10}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    assert post(world, repo, lines(("file", FILE))).status_code == 200
    history = [c.commit_id for c in world.api.list_repo_commits(repo)]
    assert history[1] == before


def test_a_lost_race_is_refused_on_any_branch(world: World, repo: str) -> None:
    """The parent is that of the branch which is written to; main does not matter."""
    world.api.create_branch(repo, branch="some/branch")
    old = world.api.model_info(repo).sha
    options = {"revision": "some/branch", "commit_message": "x", "parent_commit": old}
    world.api.create_commit(repo, [CommitOperationAdd("x", b"x")], commit_message="main moves")
    world.api.create_commit(repo, [CommitOperationAdd("x", b"x")], **options)
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.create_commit(repo, [CommitOperationAdd("y", b"y")], **options)
    assert caught.value.response.status_code == 412
    assert set(files(world, repo, "some/branch")) == {"a.txt", "d/1", "d/2", "x"}


def test_commits_at_the_same_time_all_happen(world: World, repo: str) -> None:
    """Those that name no parent take turns: none is refused, none is lost."""

    def commit(number: int) -> str:
        add = ("file", {"path": f"n/{number}", "content": "x"})
        return str(post(world, repo, lines(add)).json()["commitOid"])

    with ThreadPoolExecutor(8) as pool:
        oids = set(pool.map(commit, range(16)))
    history = {c.commit_id for c in world.api.list_repo_commits(repo)}
    assert len(oids) == 16
    assert oids <= history
    assert len(files(world, repo)) == 3 + 16


def test_where_one_cannot_commit_is_said_so(world: World, repo: str) -> None:
    """No such branch; a tag or a commit is none; pull requests are not there."""
    sha = world.api.model_info(repo).sha
    world.api.create_tag(repo, tag="v1")
    add = [CommitOperationAdd("x", b"x")]
    for revision in ("none", "refs/pr/1"):
        with pytest.raises(RevisionNotFoundError):
            world.api.create_commit(repo, add, commit_message="x", revision=revision)
    for revision in (sha, "v1", "main~1"):
        assert post(world, repo, lines(("file", FILE)), revision=revision).status_code == 404
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.create_commit(repo, add, commit_message="x", create_pr=True)
    assert caught.value.response.status_code == 501


@pytest.mark.parametrize(("token", "status"), [(READ, 403), (OTHER, 403)])
def test_who_may_not_commit_is_refused(world: World, repo: str, token: str, status: int) -> None:
    """Before anything is read."""
    reply = post(world, repo, lines(("file", FILE)), Authorization=f"Bearer {token}")
    assert reply.status_code == status


def test_the_client_explains_a_deletion_of_nothing(world: World, repo: str) -> None:
    """It knows the Hub's words, and adds how files and folders are told apart."""
    with pytest.raises(RemoteEntryNotFoundError, match="trailing '/'"):
        world.api.create_commit(repo, [CommitOperationDelete("d")], commit_message="x")


def test_the_client_copies_files_of_both_kinds(world: World, repo: str) -> None:
    """A small one it reads and sends again, of a large one it names the content alone."""
    keep_large(world, repo)
    post(world, repo, lines(("lfsFile", {"path": "big.bin", "oid": LARGE_OID})))
    copies = [CommitOperationCopy("a.txt", "b.txt"), CommitOperationCopy("big.bin", "big2.bin")]
    world.api.create_commit(repo, copies, commit_message="copies")
    assert files(world, repo) == files(world, repo) | {"b.txt": b"a.txt", "big2.bin": LARGE}


def test_large_files_are_named_in_the_attributes(world: World, repo: str) -> None:
    """By name for one that no pattern covers, so that git takes it for what it is; once."""
    keep_large(world, repo)
    git = world.hub._state.store.find("models", *repo.split("/")).git
    before = git.text(git.resolve("main"), ".gitattributes")
    for path in ("big.bin", "odd [1].dat", "odd [1].dat"):
        post(world, repo, lines(("lfsFile", {"path": path, "oid": LARGE_OID})))
    after = git.text(git.resolve("main"), ".gitattributes")
    assert after == before + "odd[[:space:]]\\[1\\].dat filter=lfs diff=lfs merge=lfs -text\n"


def preupload(world: World, repo: str, *asked: dict[str, Any], **options: Any) -> dict[str, Any]:
    """What is to be uploaded how, by path."""
    url = f"{world.hub.endpoint}/api/models/{repo}/preupload/main"
    body = {"files": list(asked), **options}
    reply = loopback.post(url, json=body, headers={"Authorization": f"Bearer {WRITE}"})
    assert reply.status_code == 200, reply.text
    return {file["path"]: file for file in reply.json()["files"]}


def asked(path: str, *, size: int = 4, sample: bytes = b"text") -> dict[str, Any]:
    """A file that is to be uploaded."""
    return {"path": path, "size": size, "sample": base64.b64encode(sample).decode()}


def test_size_content_and_name_say_how_a_file_is_uploaded(world: World, repo: str) -> None:
    """Over 10 MiB, binary, or called as .gitattributes has it: a large file."""
    found = preupload(
        world,
        repo,
        asked("plain"),
        asked("just", size=LFS_THRESHOLD),
        asked("over", size=LFS_THRESHOLD + 1),
        asked("binary", sample=b"a\0b"),
        asked("deep/named.bin"),
    )
    assert {path: file["uploadMode"] for path, file in found.items()} == {
        "plain": "regular",
        "just": "regular",
        "over": "lfs",
        "binary": "lfs",
        "deep/named.bin": "lfs",
    }
    other = preupload(world, repo, asked("a.bin"), gitAttributes="*.txt filter=lfs\n")
    assert other["a.bin"]["uploadMode"] == "regular"


def test_what_is_there_already_is_named(world: World, repo: str) -> None:
    """By git's id, or a large file's sha256; the client then leaves out what is the same."""
    keep_large(world, repo)
    post(world, repo, lines(("lfsFile", {"path": "big.bin", "oid": LARGE_OID})))
    found = preupload(world, repo, asked("a.txt"), asked("big.bin"), asked("new"), asked("d"))
    assert found["big.bin"]["oid"] == LARGE_OID
    assert "oid" not in found["new"] | found["d"]
    before = world.api.model_info(repo).sha
    same = [CommitOperationAdd("a.txt", b"a.txt")]
    assert world.api.create_commit(repo, same, commit_message="same").oid == before
    assert post(world, repo, lines()).json()["commitOid"] != before  # an empty one is a commit


def test_ignored_files_are_left_out_by_the_client(world: World, repo: str) -> None:
    """By the .gitignore that is there, or by the one that is to come."""
    add = [CommitOperationAdd(".gitignore", b"*.log\n!keep.log\n/build\n")]
    world.api.create_commit(repo, add, commit_message="ignore")
    paths = ("a.log", "keep.log", "build/x", "sub/build", "x")
    world.api.create_commit(
        repo, [CommitOperationAdd(path, b"x") for path in paths], commit_message="files"
    )
    assert set(files(world, repo)) >= {"keep.log", "sub/build", "x"}
    assert not {"a.log", "build/x"} & set(files(world, repo))
    found = preupload(world, repo, asked("a.log"), asked("y"), gitIgnore="y\n")
    assert [file["shouldIgnore"] for file in found.values()] == [False, True]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": {}},
        {"files": [1]},
        {"files": [{"path": "x", "size": -1}]},
        {"files": [{"path": 1, "size": 1}]},
        {"files": [{"path": "x", "size": "1"}]},
        {"files": [{"path": "x", "size": 1, "sample": "a"}]},
        {"files": [{"path": "x", "size": 1, "sample": 5}]},
        {"files": [{"path": "x", "size": 1, "sample": ""}] * 1001},
    ],
)
def test_a_malformed_question_is_a_422(world: World, repo: str, body: dict[str, Any]) -> None:
    """As the description has it for this path."""
    url = f"{world.hub.endpoint}/api/models/{repo}/preupload/main"
    reply = loopback.post(url, json=body, headers={"Authorization": f"Bearer {WRITE}"})
    assert reply.status_code == 422


def test_the_history_comes_in_pages(world: World, repo: str) -> None:
    """All of it through the client, and the number of all with each page."""
    for number in range(4):
        post(world, repo, lines(summary=f"number <{number}>"))
    url = f"{world.hub.endpoint}/api/models/{repo}/commits/main?limit=4"
    first = loopback.get(url)
    assert (len(first.json()), first.headers["x-total-count"]) == (4, "6")
    second = loopback.get(first.links["next"]["url"])
    assert [c["title"] for c in second.json()] == ["first", "initial commit"]
    assert "next" not in second.links
    newest = world.api.list_repo_commits(repo, formatted=True)[0]
    assert (newest.title, newest.formatted_title) == ("number <3>", "number &lt;3&gt;")
    for query in ("limit=0", "limit=x", "p=-1"):
        wrong = loopback.get(f"{world.hub.endpoint}/api/models/{repo}/commits/main?{query}")
        assert wrong.status_code == 400


def test_two_revisions_are_compared(world: World, repo: str) -> None:
    """As git shows it; a name with a slash comes quoted."""
    world.api.create_branch(repo, branch="a/b")
    post(world, repo, lines(("file", {"path": "a.txt", "content": "new\n"})))
    url = f"{world.hub.endpoint}/api/models/{repo}/compare/a%2Fb..main"
    text = loopback.get(url).json()
    assert "-a.txt" in text
    assert "+new" in text
    assert loopback.get(f"{url}?raw=true").text == text
    assert loopback.get(f"{url[:-6]}").status_code == 400
    assert loopback.get(f"{url}x").status_code == 404
