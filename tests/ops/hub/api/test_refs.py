from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2
    from hub_world import World

_numbers = itertools.count()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Hub for all tests here; each has a repository of its own."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        yield world


@pytest.fixture
def repo(world: World) -> str:
    """A dataset with two commits."""
    name = f"me/data-{next(_numbers)}"
    world.api.create_repo(name, repo_type="dataset")
    commit(world, name, "a")
    return name


def commit(world: World, repo: str, path: str, revision: str | None = None) -> str:
    """One more file; the new commit."""
    add = [CommitOperationAdd(path, b"x")]
    options = {"commit_message": path, "repo_type": "dataset", "revision": revision}
    return str(world.api.create_commit(repo, add, **options).oid)


def refs(world: World, repo: str) -> dict[str, str]:
    """Branches and tags with their commits."""
    found = world.api.list_repo_refs(repo, repo_type="dataset")
    return {ref.name: ref.target_commit for ref in (*found.branches, *found.tags)}


def post(world: World, path: str, body: Any) -> httpx2.Response:
    """What the client does not send."""
    url = f"{world.hub.endpoint}/api/datasets/{path}"
    return loopback.post(url, json=body, headers={"Authorization": f"Bearer {WRITE}"})


def status_of(call: Callable[[], object]) -> int:
    """The status of a refusal."""
    with pytest.raises(HfHubHTTPError) as caught:
        call()
    return caught.value.response.status_code


def test_branches_come_from_any_revision_and_go(world: World, repo: str) -> None:
    """By default from main; names have slashes; what is committed to one is there alone."""
    main = refs(world, repo)["main"]
    first = world.api.list_repo_commits(repo, repo_type="dataset")[-1].commit_id
    world.api.create_branch(repo, branch="deep/er/branch", repo_type="dataset")
    world.api.create_branch(repo, branch="early", revision=first, repo_type="dataset")
    newest = commit(world, repo, "b", "deep/er/branch")
    expected = {"main": main, "deep/er/branch": newest, "early": first}
    assert refs(world, repo) == expected
    listed = world.api.list_repo_files(repo, repo_type="dataset", revision="deep/er/branch")
    assert set(listed) == {".gitattributes", "a", "b"}
    info = world.api.dataset_info(repo, revision="deep/er/branch")
    assert info.sha == newest
    world.api.delete_branch(repo, branch="deep/er/branch", repo_type="dataset")
    assert refs(world, repo) == {"main": main, "early": first}


def test_what_cannot_be_done_with_branches_is_refused(world: World, repo: str) -> None:
    """Making one twice, from nowhere, beside another of which it is a folder; deleting main."""
    api, options = world.api, {"repo_type": "dataset"}
    api.create_branch(repo, branch="b", **options)
    api.create_branch(repo, branch="b", exist_ok=True, **options)
    assert status_of(lambda: api.create_branch(repo, branch="b", **options)) == 409
    assert status_of(lambda: api.create_branch(repo, branch="b/c", **options)) == 409
    assert status_of(lambda: api.create_branch(repo, branch="c", revision="no", **options)) == 404
    assert status_of(lambda: api.delete_branch(repo, branch="main", **options)) == 403
    assert status_of(lambda: api.delete_branch(repo, branch="no", **options)) == 404
    for name in ("a b", "a..b", "x.lock", "-x", "a~1", "@{0}", "a%00b", "x" * 251):
        assert post(world, f"{repo}/branch/{name}", {}).status_code == 400, name
    assert set(refs(world, repo)) == {"main", "b"}


def test_a_branch_may_be_empty_or_moved(world: World, repo: str) -> None:
    """As the description has it; the client does not ask for it."""
    assert post(world, f"{repo}/branch/new", {"emptyBranch": True}).status_code == 200
    assert world.api.list_repo_files(repo, repo_type="dataset", revision="new") == []
    assert post(world, f"{repo}/branch/new", {"overwrite": False}).status_code == 409
    assert post(world, f"{repo}/branch/new", {"overwrite": True}).status_code == 200
    assert refs(world, repo)["new"] == refs(world, repo)["main"]
    assert post(world, f"{repo}/branch/x", {"startingPoint": 1}).status_code == 400
    assert post(world, f"{repo}/branch/x", {"startingPoint": "a\0b"}).status_code == 400


def test_tags_name_any_revision(world: World, repo: str) -> None:
    """A tag with a message names the commit, not itself; it is found like a branch."""
    world.api.create_branch(repo, branch="a/b", repo_type="dataset")
    newest = commit(world, repo, "b", "a/b")
    for tag, message in (("v/1", None), ("v/2", "annotated")):
        world.api.create_tag(
            repo, tag=tag, tag_message=message, revision="a/b", repo_type="dataset"
        )
        assert refs(world, repo)[tag] == newest
        assert world.api.dataset_info(repo, revision=tag).sha == newest
    commit(world, repo, "c", "a/b")
    assert refs(world, repo)["v/1"] == newest
    again = {"tag": "v/1", "repo_type": "dataset"}
    assert status_of(lambda: world.api.create_tag(repo, **again)) == 409
    world.api.create_tag(repo, exist_ok=True, **again)
    world.api.delete_tag(repo, tag="v/1", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        world.api.delete_tag(repo, tag="v/1", repo_type="dataset")
    for body in ({}, {"tag": 1}, {"tag": "a b"}, {"tag": "x", "message": "a\0b"}):
        assert post(world, f"{repo}/tag/main", body).status_code == 400


def test_a_squash_keeps_the_files_and_forgets_the_rest(world: World, repo: str) -> None:
    """One commit, with the message; the commits before are no longer in the history."""
    before = world.api.list_repo_files(repo, repo_type="dataset")
    world.api.super_squash_history(repo, commit_message="all", repo_type="dataset")
    history = world.api.list_repo_commits(repo, repo_type="dataset")
    assert [(c.title, c.authors) for c in history] == [("all", ["me"])]
    assert world.api.list_repo_files(repo, repo_type="dataset") == before
    assert post(world, f"{repo}/super-squash/none", {}).status_code == 404
    assert post(world, f"{repo}/super-squash/main", {"message": "x" * 501}).status_code == 400


def test_a_space_follows_main_however_it_moves(world: World) -> None:
    """A squash of main is a new commit to run; another branch is nothing to a Space."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    world.api.create_branch(SPACE, branch="other", repo_type="space")
    world.api.super_squash_history(SPACE, branch="other", repo_type="space")
    world.api.super_squash_history(SPACE, repo_type="space")
    sha = world.api.space_info(SPACE).sha
    assert world.wait(lambda raw: raw.get("sha") == sha)["stage"] == "RUNNING"


def test_there_are_no_pull_requests(world: World, repo: str) -> None:
    """The list is empty, and a pull request's revision is none."""
    found = world.api.list_repo_refs(repo, repo_type="dataset", include_pull_requests=True)
    assert found.pull_requests == []
    with pytest.raises(RevisionNotFoundError):
        world.api.dataset_info(repo, revision="refs/pr/1")
