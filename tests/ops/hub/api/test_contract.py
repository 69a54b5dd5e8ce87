"""Every reply of the local Hub against the description that huggingface.co publishes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import huggingface_hub
import jsonschema_rs
import pytest
from data.trim_hub_openapi import is_answered
from fakes.runner import FakeRunner
from hub_world import CARD, SPACE, WRITE, hub_world
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    Volume,
    get_session,
    hf_hub_download,
)

from ops.hub.repository import Author, LargeFile, WriteLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World

DESCRIPTION = json.loads(
    (Path(__file__).parents[3] / "data" / "hub-openapi.json").read_text(encoding="utf-8")
)
ME = {"Authorization": f"Bearer {WRITE}"}
KINDS = {"space": "spaces", "model": "models", "dataset": "datasets"}


@dataclass(frozen=True)
class Described:
    """One method of one path of the description."""

    name: str
    method: str
    pattern: re.Pattern[str]
    replies: dict[str, Any]


def _described() -> list[Described]:
    found = []
    for path, item in DESCRIPTION["paths"].items():
        # Longer paths are rarer; what is left open comes last.
        pattern = re.compile(re.sub(r"\\\{(path|compare)\\\}", "(.+)", _each_part(path)))
        for method, operation in item.items():
            name = f"{method.upper()} {path}"
            found.append(Described(name, method.upper(), pattern, operation["responses"]))
    return sorted(found, key=lambda d: (d.name.count("{"), -len(d.name)))


def _each_part(path: str) -> str:
    return re.sub(r"\\\{(?!path|compare)\w+\\\}", "([^/]+)", re.escape(path))


@dataclass
class Recorder:
    """Hears every reply that the client gets, and judges it."""

    described: list[Described] = field(default_factory=_described)
    wrong: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def hear(self, reply: httpx2.Response) -> None:
        method, path = reply.request.method, reply.request.url.raw_path.decode().partition("?")[0]
        found = next(
            (d for d in self.described if d.method == method and d.pattern.fullmatch(path)), None
        )
        if found is None:
            return
        if reply.is_success or reply.status_code in (304, 307):
            self.seen.add(found.name)
        if reply.headers.get("content-type", "").startswith("application/json"):
            reply.read()
            self.wrong += self._mistakes(found, reply)

    def _mistakes(self, found: Described, reply: httpx2.Response) -> Iterator[str]:
        described = found.replies.get(str(reply.status_code), {}).get("content", {})
        schema = described.get("application/json", {}).get("schema")
        if schema:
            schema = _corrected(found.name, schema)
        elif reply.is_error:
            schema = {"type": "object", "required": ["error"]}
        if schema:
            validator = jsonschema_rs.validator_for(schema, validate_formats=True)
            for error in validator.iter_errors(reply.json()):
                yield f"{found.name} {reply.status_code}: {error.message} in {reply.text:.300}"


def _corrected(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Where the description forbids what the Hub's own client cannot do without.

    The client reads the `path` of every entry of a tree, which only the description of paths-info
    has, and a large file's `oid` and `size`, which only that of tree has (RepoFile, hf_api.py).
    """
    if "/tree/" in name:
        mended = json.loads(json.dumps(schema))
        missing, into = {"path": {"type": "string"}}, mended["items"]["properties"]
    elif "/paths-info/" in name:
        mended = json.loads(json.dumps(schema))
        numbers = {"type": "integer"}
        missing = {"oid": {"type": "string"}, "size": numbers}
        into = mended["items"]["properties"]["lfs"]["properties"]
    else:
        return schema
    assert not missing.keys() & into.keys(), "the description was mended: this can go"
    into |= missing
    return dict(mended)


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    """One for all that is asked here."""
    return Recorder()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[World]:
    """A Hub whose every reply to its client is heard."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        huggingface_hub.set_client_factory(
            lambda: httpx2.Client(
                event_hooks={"response": [recorder.hear]}, follow_redirects=True, timeout=60
            )
        )
        yield world


@pytest.mark.parametrize("kind", KINDS)
def test_the_client_finds_what_is_described(
    world: World, recorder: Recorder, kind: str, tmp_path: Path
) -> None:
    """Whatever the real client does with a repository is answered as the description has it."""
    api, repo = world.api, f"me/contract-{kind}"
    sdk = {"space_sdk": "docker"} if kind == "space" else {}
    for _ in range(2):  # the second is a 409
        api.create_repo(repo, repo_type=kind, exist_ok=True, **sdk)
    readme = CARD if kind == "space" else b"---\nlicense: mit\n---\n"
    first = api.create_commit(
        repo,
        [CommitOperationAdd("README.md", readme), CommitOperationAdd("a/b.txt", b"text\n")],
        commit_message="one",
        repo_type=kind,
    ).oid
    with_large_file(world, kind, repo)
    api.create_branch(repo, branch="a/branch", repo_type=kind)
    api.create_commit(
        repo,
        [CommitOperationDelete("a/")],
        commit_message="two",
        repo_type=kind,
        revision="a/branch",
    )
    api.create_tag(repo, tag="v/1", tag_message="m", repo_type=kind, revision=first)
    assert api.list_repo_refs(repo, repo_type=kind, include_pull_requests=True).tags
    assert list(api.list_repo_tree(repo, "a", repo_type=kind, expand=True, revision="v/1"))
    assert list(api.list_repo_tree(repo, repo_type=kind, recursive=True))
    assert len(api.get_paths_info(repo, ["a", "big.bin"], expand=True, repo_type=kind)) == 2
    assert api.list_repo_commits(repo, repo_type=kind, formatted=True)
    assert list(api.list_lfs_files(repo, repo_type=kind))
    for _ in range(2):
        hf_hub_download(
            repo, "a/b.txt", repo_type=kind, endpoint=api.endpoint, token=WRITE, local_dir=tmp_path
        )
    api.super_squash_history(repo, branch="a/branch", repo_type=kind)
    api.delete_tag(repo, tag="v/1", repo_type=kind)
    api.delete_branch(repo, branch="a/branch", repo_type=kind)
    api.update_repo_settings(repo, repo_type=kind, visibility="private")
    for _ in range(2):
        api.duplicate_repo(repo, f"{repo}-copy", repo_type=kind, exist_ok=True)
    api.move_repo(repo, f"{repo}-moved", repo_type=kind)
    assert api.repo_info(repo, repo_type=kind).id == f"{repo}-moved"
    assert recorder.wrong == []


def with_large_file(world: World, kind: str, repo: str) -> None:
    """A commit that names a large file whose content is in the store."""
    content = b"\0large" * 50
    large = LargeFile(hashlib.sha256(content).hexdigest(), len(content))
    git = world.hub._state.store.find(KINDS[kind], *repo.split("/")).git
    path = git.large_path(large)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    git.commit([WriteLarge("big.bin", large)], message="large\n", author=Author("me"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_client_does_not_ask_for_is_as_described(
    world: World, recorder: Recorder, kind: str
) -> None:
    """Paths of the description that other clients use."""
    repo = f"me/asked-{kind}"
    world.api.create_repo(
        repo, repo_type=kind, **({"space_sdk": "static"} if kind == "space" else {})
    )
    base = f"/api/{KINDS[kind]}/{repo}"
    reply = ask(world, "POST", f"{base}/commit/main", json={"summary": "x", "files": [FILE]})
    assert reply.status_code == 200
    for path in (
        "/treesize/main/a",
        "/compare/main..main",
        "/commits/main?limit=1&expand=formatted",
        "/xet-read-token/main",
        "/xet-write-token/main",
    ):
        assert ask(world, "GET", base + path).status_code == 200, path
    assert ask(world, "POST", f"{base}/preupload/main", json={"files": 1}).status_code == 422
    body = {"paths": ["a"], "expand": True}
    assert ask(world, "POST", f"{base}/paths-info/main", json=body).json()[0]["type"] == "directory"
    for path in (f"{base}/tree/none", f"{base}/tree/main/none", f"{base}-none/refs"):
        assert ask(world, "GET", path).status_code == 404
    pages = "" if kind == "model" else f"/{KINDS[kind]}"
    assert ask(world, "GET", f"{pages}/{repo}/resolve/main/a/b").text == "text"
    assert recorder.wrong == []


FILE = {"path": "a/b", "content": "text"}


def test_what_only_spaces_have_is_as_described(world: World, recorder: Recorder) -> None:
    """Runtime, settings and logs."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    api = world.api
    assert api.whoami()["name"] == "me"
    assert api.list_spaces_hardware()
    api.add_space_variable(SPACE, "V", "1")
    assert list(api.get_space_variables(SPACE)) == ["V"]
    api.delete_space_variable(SPACE, "V")
    api.add_space_secret(SPACE, "S", "hidden")
    assert list(api.get_space_secrets(SPACE)) == ["S"]
    api.delete_space_secret(SPACE, "S")
    api.set_space_volumes(SPACE, volumes=[Volume(type="model", source="me/m", mount_path="/m")])
    api.delete_space_volumes(SPACE)
    for stream in ("logs/run", "events"):
        url = f"{api.endpoint}/api/spaces/{SPACE}/{stream}"
        with get_session().stream("GET", url, headers=ME) as events:
            assert any(line.startswith("data:") for line in events.iter_lines())
    assert recorder.wrong == []


def test_all_that_is_described_was_asked_for(recorder: Recorder) -> None:
    """The tests above leave out no path and no method of the description."""
    assert {described.name for described in recorder.described} - recorder.seen == set()


def test_the_description_has_all_that_is_answered() -> None:
    """A route for a path of the whole description brings its part of it into the trimmed one."""
    kept = {d.name for d in _described()}
    answered = {name for name in DESCRIPTION["x-paths"] if is_answered(*name.split(" ", 1))}
    assert answered == kept, "run tests/data/trim_hub_openapi.py"


def ask(world: World, method: str, path: str, **options: Any) -> httpx2.Response:
    """A request of the Hub's owner, heard like the client's."""
    url = f"{world.hub.endpoint}{path}"
    return get_session().request(method, url, headers=ME, **options)
