from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from fakes.embedding_server import APP_KEY, embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world
from running_ops import environment

from ops.cli import cli
from ops.config import Config
from ops.errors import ConfigError
from ops.workflow import PLACE, Job, Toolkit, toolkit, workflow, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hub_world import World

PROJECT = Path(__file__).parents[2]
GOLDEN = PROJECT / "tests" / "golden" / "workflow"
SOURCES = {"EMBED_API_KEYS": {"env": "KEYS"}, "CA": {"file": "secret files/ca.txt"}}
ELSEWHERE = toolkit("somebody/embedding-space@" + "0123456789" * 4)
PLAIN = PurePosixPath("space.toml")


def config(repo_id: str = SPACE, secrets: Mapping[str, Any] | None = None) -> Config:
    """A Space with one secret of each kind that CI can have."""
    chosen = SOURCES if secrets is None else secrets
    return Config.model_validate({"space": {"repo_id": repo_id}, "secrets": chosen})


JOBS = {
    "plain": Job(config(secrets={}), PLAIN, None, Toolkit()),
    "secrets": Job(config(), PLAIN, None, Toolkit()),
    "oidc": Job(config(), PurePosixPath("a b/space.toml"), "staging", ELSEWHERE, oidc=True),
}


def steps(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every step of a workflow with its job's name."""
    for name, job in yaml.safe_load(text)["jobs"].items():
        for step in job["steps"]:
            yield name, step


@pytest.mark.parametrize("case", JOBS)
def test_what_is_written_is_the_golden_text(case: str, request: pytest.FixtureRequest) -> None:
    """What people commit is what was looked at, letter by letter."""
    text = workflow(JOBS[case]).text
    path = GOLDEN / f"{case}.yml"
    if request.config.getoption("--update-golden", default=False):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), (
        "Meant? pytest tests/ops/test_workflow.py --update-golden, and look at the diff."
    )


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_it_is_yaml_and_its_scripts_are_shell(job: Job) -> None:
    """GitHub and bash read all of it; every action is at one commit."""
    for _, step in steps(workflow(job).text):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
        else:
            subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_secrets_reach_only_the_steps_that_need_them(job: Job) -> None:
    """They come by the environment, never in a script, and not to pip."""
    text = workflow(job).text
    for _, step in steps(text):
        assert "secrets." not in step.get("run", "")
        if step.get("name") == "Install":
            assert "env" not in step
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_pull_requests_plan_and_main_deploys() -> None:
    """A fork's request runs nothing; two deployments never run at once, and none is broken off."""
    jobs = yaml.safe_load(workflow(JOBS["secrets"]).text)["jobs"]
    assert "head.repo.full_name == github.repository" in jobs["plan"]["if"]
    assert jobs["deploy"]["if"] == "github.ref == 'refs/heads/main'"
    assert jobs["deploy"]["concurrency"] == {"group": "space-me-app", "cancel-in-progress": False}
    names = [[step["name"] for step in jobs[job]["steps"] if "name" in step] for job in jobs]
    assert names == [
        ["Install", "Secret files", "Check", "Plan"],
        ["Install", "Secret files", "Check", "Deploy"],
    ]


def test_oidc_stores_no_token() -> None:
    """The job may ask for its identity, the client knows for which Space, and no token is named."""
    written = workflow(JOBS["oidc"])
    jobs = yaml.safe_load(written.text)["jobs"]
    for job in jobs.values():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
        assert job["steps"][-1]["env"]["HF_OIDC_RESOURCE"] == f"spaces/{SPACE}"
    assert "HF_TOKEN" not in written.text
    assert written.secrets.keys() == {"KEYS", "CA"}


def test_every_secret_is_listed_with_what_it_is_for() -> None:
    """Whoever writes the file is told what to set on GitHub, by GitHub's name for it."""
    listed = workflow(JOBS["secrets"]).secrets
    assert listed.keys() == {"HF_TOKEN", "KEYS", "CA"}
    assert "EMBED_API_KEYS" in listed["KEYS"]


def test_the_hubs_token_may_be_a_secret_of_the_space() -> None:
    """It is named once."""
    made = workflow(Job(config(secrets={"T": {"env": "HF_TOKEN"}}), PLAIN, None, Toolkit()))
    assert "role write" in made.secrets["HF_TOKEN"]
    check = next(step for _, step in steps(made.text) if step.get("name") == "Check")
    assert check["env"] == {"HF_TOKEN": "${{ secrets.HF_TOKEN }}"}


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (Job(config(secrets={"A": {"prompt": True}}), PLAIN, None, Toolkit()), "on a terminal"),
        (Job(config(secrets={"A": {"env": "github_a"}}), PLAIN, None, Toolkit()), "github_a"),
        (Job(config("app"), PLAIN, None, Toolkit(), oidc=True), "whole name"),
    ],
    ids=["asked for", "GitHub's own", "no owner"],
)
def test_what_ci_cannot_have_is_refused(job: Job, said: str) -> None:
    """Before a file is written that could only fail."""
    with pytest.raises(ConfigError, match=said) as caught:
        workflow(job)
    assert caught.value.next_step


@pytest.mark.parametrize("text", ["", "name@ref", "o/n", "o/n@", "o/n/m@a", "o/n@-x", "o/n@a b"])
def test_a_toolkit_is_a_repository_at_a_commit(text: str) -> None:
    """Anything else is refused with the form."""
    with pytest.raises(ConfigError, match="no repository of GitHub"):
        toolkit(text)


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    """The same text is left as it is; its own older text is renewed."""
    path = tmp_path / PLACE
    older, newer = workflow(JOBS["plain"]).text, workflow(JOBS["secrets"]).text
    assert write(path, older, overwrite=False)
    assert not write(path, older, overwrite=False)
    assert write(path, newer, overwrite=False)
    assert path.read_text() == newer


@pytest.mark.parametrize("edit", ["name: mine\n", None], ids=["another", "edited"])
def test_what_somebody_wrote_is_replaced_on_purpose_only(tmp_path: Path, edit: str | None) -> None:
    """A file of theirs stays, and so does ours once they have changed it."""
    path = tmp_path / PLACE
    path.parent.mkdir(parents=True)
    theirs = edit or workflow(JOBS["plain"]).text + "# and a word\n"
    path.write_text(theirs)
    text = workflow(JOBS["secrets"]).text
    with pytest.raises(ConfigError, match="is there") as caught:
        write(path, text, overwrite=False)
    assert "--yes" in str(caught.value.next_step)
    assert path.read_text() == theirs
    assert write(path, text, overwrite=True)
    assert path.read_text() == text


# --- as GitHub runs it ---------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub whose Spaces are small embedding servers."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "README.md").write_text("---\nlicense: mit\n---\n")
    runner = FakeRunner(lambda _: embedding_app())
    with hub_world(tmp_path / "hub", runner, mirrors={"org/model": model}) as world:
        yield world


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A user's repository, with a space.toml that has a secret of each kind."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "space.toml").write_text(
        f'[space]\nrepo_id = "{SPACE}"\n[model]\nid = "org/model"\n[secrets]\n'
        'EMBED_API_KEYS = { env = "KEYS" }\nCA = { file = "secret files/ca.txt" }\n'
    )
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    return folder


def run(folder: Path, command: list[str], env: Mapping[str, str]) -> str:
    """Run with an `ops` on PATH, and little else of this machine's; returns the output."""
    tools = folder.parent / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "ops").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ops "$@"\n')
    (tools / "ops").chmod(0o755)
    own = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "DOCKER_HOST": f"unix://{folder.parent}/docker.sock",
        "GITHUB_STEP_SUMMARY": str(folder.parent / "summary.md"),
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder.parent, **(own | dict(env))),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_steps(job: str, folder: Path, world: World, names: tuple[str, ...]) -> str:
    """Run steps of a job as GitHub would, its secrets set; returns what they printed."""
    stored = {"HF_TOKEN": WRITE, "KEYS": f"mem0={APP_KEY}", "CA": "the certificate"}
    said = ""
    for of_job, step in steps((folder / PLACE).read_text()):
        if of_job == job and step.get("name") in names:
            env = {
                name: re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda m: stored[m[1]], value)
                for name, value in step["env"].items()
            }
            shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            said += run(folder, shell, env | {"HF_ENDPOINT": world.hub.endpoint})
    assert not any(secret in said for secret in stored.values())
    return said


def written(checkout: Path, *options: str) -> dict[str, Any]:
    """What `ops init --github-actions` says of a repository with a space.toml."""
    command = ["ops", "--json", "init", "--github-actions"]
    elsewhere = ["--toolkit", f"{ELSEWHERE.repository}@{ELSEWHERE.ref}"]
    report: dict[str, Any] = json.loads(run(checkout, [*command, *elsewhere, *options], {}))
    return report


def test_the_command_keeps_a_config_that_is_there(checkout: Path) -> None:
    """Only the workflow is written, at the top of the checkout, and the secrets are named."""
    before = (checkout / "space.toml").read_text()
    report = written(checkout)
    assert report["workflow"] == str(checkout / PLACE)
    assert report["changed"]
    assert report["secrets"].keys() == {"HF_TOKEN", "KEYS", "CA"}
    assert (checkout / "space.toml").read_text() == before
    assert ".embedding-space" in (checkout / PLACE).read_text()
    assert not written(checkout)["changed"]


def test_the_command_starts_from_nothing(tmp_path: Path) -> None:
    """With a name, both files are written."""
    folder = tmp_path / "new"
    folder.mkdir()
    report = written(folder, "me/fresh")
    assert (report["repo_id"], report["changed"]) == ("me/fresh", True)
    assert 'repo_id = "me/fresh"' in (folder / "space.toml").read_text()


def test_a_config_in_a_folder_of_the_checkout(checkout: Path) -> None:
    """The workflow lies where GitHub looks for it, and names the config by its path."""
    (checkout / "deep").mkdir()
    (checkout / "space.toml").rename(checkout / "deep" / "space.toml")
    command = ["ops", "--config", "deep/space.toml", "init", "--github-actions", "--toolkit"]
    run(checkout, [*command, "a/b@c"], {})
    text = (checkout / PLACE).read_text()
    assert "ops --config deep/space.toml doctor" in text
    assert "deep/secret files/ca.txt" in text


def test_its_deploy_job_deploys(checkout: Path, world: World) -> None:
    """The scripts as written check and deploy a Space, and no secret is in what they print."""
    written(checkout)
    said = run_steps("deploy", checkout, world, ("Secret files", "Check", "Deploy"))
    assert "release-1" in said
    assert (checkout / "secret files" / "ca.txt").read_text() == "the certificate\n"
    assert (checkout / "secret files" / "ca.txt").stat().st_mode & 0o077 == 0
    assert set(world.api.get_space_secrets(SPACE)) == {"EMBED_API_KEYS", "CA"}


@pytest.mark.skipif("plan" not in cli.commands, reason="there is no ops plan yet")
def test_its_plan_job_writes_a_summary(checkout: Path, world: World) -> None:
    """A pull request shows the plan as Markdown, and touches nothing."""
    written(checkout)
    run_steps("plan", checkout, world, ("Secret files", "Check", "Plan"))
    assert SPACE in (checkout.parent / "summary.md").read_text()
    assert not world.api.repo_exists(SPACE, repo_type="space")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "ops init my-embeddings"),
        (["name", "--oidc"], "belong to --github-actions"),
        (["name", "--toolkit", "a/b@c"], "belong to --github-actions"),
        (["another", "--github-actions", "--toolkit", "a/b@c"], "exists already"),
        (["--github-actions", "--toolkit", "nonsense"], "OWNER/NAME@COMMIT"),
    ],
)
def test_wrong_use_is_said(checkout: Path, arguments: list[str], said: str) -> None:
    """Exit code 2, the way out, and no file."""
    done = subprocess.run(
        [sys.executable, "-m", "ops", "init", *arguments],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert not (checkout / PLACE).exists()
