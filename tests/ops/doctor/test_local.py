from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from ops.adapters.docker_engine import DockerEngine
from ops.adapters.hf_hub import Hub
from ops.config import Config
from ops.doctor import Context, load, local
from ops.doctor.finding import Unknown
from ops.errors import Exit, NotAllowed
from ops.secret_values import SecretReader

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = {"EMBED_API_KEYS": {"env": "KEYS"}}
NO_TOKEN = NotAllowed("There is no token.")


def context(
    *, environment: Mapping[str, str] | None = None, ask: bool = False, **sections: Any
) -> Context:
    """A Space called me/app; nobody reaches a Hub."""
    sections = {"space": {"repo_id": "me/app"}} | sections
    return Context(
        Config.model_validate(sections),
        public=Hub("http://127.0.0.1:1", None),
        hub=NO_TOKEN,
        secrets=SecretReader(Path(), environment or {}, (lambda _: "") if ask else None),
    )


def with_tree(files: Mapping[str, bytes], toolkit: Path | None = None) -> Context:
    """What would be pushed, besides what is rendered."""
    made = context()
    assert isinstance(made.tree, dict)
    whole = {**made.tree, **files}
    made = replace(made, toolkit=toolkit or made.toolkit)
    made.__dict__["tree"] = whole
    return made


def git(folder: Path, *arguments: str) -> None:
    """Real git, for a person of its own."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    git(tmp_path, "init", "--initial-branch", "main")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_a_valid_config_is_summed_up(tmp_path: Path) -> None:
    """Name, visibility and hardware are what one wants to see before a deployment."""
    path = tmp_path / "space.toml"
    path.write_text('[space]\nrepo_id = "me/app"\n')
    loaded = load(path, None)
    assert local.config(replace(context(), config=loaded)).detail == "me/app: private, cpu-basic"


def test_an_environment_that_is_not_chosen_counts_too(tmp_path: Path) -> None:
    """A mistake in another environment is found before somebody deploys that one."""
    path = tmp_path / "space.toml"
    path.write_text('[space]\nrepo_id = "me/app"\n[environments.late.space]\nhardware = 7\n')
    found = local.config(replace(context(), config=load(path, None)))
    assert (found.outcome, found.exit_code) == ("failure", Exit.USAGE)
    assert "late" in found.detail
    assert "hardware" in found.detail


def test_secrets_are_looked_for_and_not_shown() -> None:
    """Every one that is missing is named at once; a value is in no text."""
    secrets = {**KEYS, "A": {"env": "A"}, "B": {"file": "none.txt"}}
    found = local.secrets(context(secrets=secrets, environment={"KEYS": "very-secret"}))
    assert (found.outcome, found.exit_code) == ("failure", Exit.USAGE)
    assert "environment variable A is not set" in found.detail
    assert "none.txt cannot be read" in found.detail
    assert "EMBED_API_KEYS" not in found.detail
    good = local.secrets(context(secrets=KEYS, environment={"KEYS": "very-secret"}))
    assert good.outcome == "ok"
    assert "very-secret" not in f"{found} {good} {found.data()} {found.error()!r}"


def test_a_short_secret_is_a_warning() -> None:
    """It can be guessed, and not be hidden everywhere; each of the app's keys counts."""
    secrets = {**KEYS, "PIN": {"env": "PIN"}}
    environment = {"KEYS": "mem0=long-enough-key,n8n=short", "PIN": "4711"}
    found = local.secrets(context(secrets=secrets, environment=environment))
    assert found.outcome == "warning"
    assert "EMBED_API_KEYS, PIN" in found.detail
    assert "4711" not in f"{found} {found.fix}"
    environment = {"KEYS": "mem0=long-enough-key", "PIN": "471147114711"}
    assert local.secrets(context(secrets=secrets, environment=environment)).outcome == "ok"


def test_nobody_is_asked_for_a_secret() -> None:
    """One that is asked for is fine on a terminal, without a question; in CI it is missing."""
    secrets = {"A": {"prompt": True}}
    assert local.secrets(context(secrets=secrets, ask=True)).outcome == "ok"
    assert local.secrets(context(secrets=secrets)).outcome == "failure"


@pytest.mark.parametrize(
    ("visibility", "secrets", "outcome", "said"),
    [
        ("private", {}, "ok", "Hub's token"),
        ("private", KEYS, "warning", "X-API-Key"),
        ("public", {}, "warning", "anybody may use it"),
        ("protected", {}, "warning", "anybody may use it"),
        ("public", KEYS, "ok", "own keys"),
    ],
)
def test_who_can_use_it_and_how(
    visibility: str, secrets: dict[str, Any], outcome: str, said: str
) -> None:
    """Two tokens, or none, are worth a word; one is as it should be."""
    space = {"repo_id": "me/app", "visibility": visibility}
    found = local.keys(context(space=space, secrets=secrets))
    assert found.outcome == outcome
    assert said in f"{found.detail} {found.fix}"


def test_the_templates_of_this_project_pass() -> None:
    """They render, their pins are in step with what is tested, and nothing in them is odd."""
    made = context()
    for check in (local.templates, local.pins, local.leaks, local.sizes):
        found = check(made)
        assert found.outcome == "ok", found


def test_a_pin_that_moved_alone_is_named(tmp_path: Path) -> None:
    """A version other than the tested one, and a package without one, are each said so."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "constraints.txt").write_text("# tested\nPython_Multipart==1.0\n")
    hashed = b"python-multipart==1.1 \\\n    --hash=sha256:" + b"0" * 64 + b"\n"
    moved = with_tree({"requirements.txt": hashed}, tmp_path)
    found = local.pins(moved)
    assert found.outcome == "warning"
    assert "python-multipart 1.1, tested 1.0" in found.detail
    loose = with_tree({"requirements.txt": b"# words\n\nnumpy>=2\n"})
    assert "requirements.txt: numpy>=2" in local.pins(loose).detail
    unhashed = with_tree({"requirements.txt": b"numpy==2.4.6\n"})
    assert "Without a hash: numpy" in local.pins(unhashed).detail


def test_without_lock_files_pins_are_pins(tmp_path: Path) -> None:
    """Where the toolkit came without .ci, there is nothing to compare with."""
    assert local.pins(with_tree({}, tmp_path)).outcome == "ok"


def test_a_secret_in_a_file_or_a_variable_ends_a_deployment() -> None:
    """It is named by place and kind; its value is in no text."""
    secret = "hf_" + "aB3" * 12
    for made, place in (
        (with_tree({"space_app/extra.txt": f"a\n{secret}\n".encode()}), "space_app/extra.txt:2"),
        (context(image={"build_args": {"INDEX": "https://me:hunter22@index"}}), "Dockerfile:"),
        (context(variables={"OTHER": "ghp_" + "aB3" * 12}), "variables.OTHER ("),
    ):
        found = local.leaks(made)
        assert (found.outcome, found.exit_code) == ("failure", Exit.USAGE)
        assert place in found.detail
        assert "aB3aB3" not in f"{found} {found.fix}"
        assert "hunter22" not in f"{found} {found.fix}"


def test_randomness_alone_is_a_warning() -> None:
    """What might be a checksum of another kind does not stop anybody."""
    found = local.leaks(with_tree({"a.txt": b"x = aX3kQ9vB2nM7pL5sR8tY1wZ4\n"}))
    assert found.outcome == "warning"


def test_what_space_toml_calls_no_secret_is_none() -> None:
    """A file or a variable that only looks like one can be published on purpose."""
    sections = {"repo_id": "me/app", "not_secret": ("variables.A", "space_app/extra.txt")}
    made = context(space=sections, variables={"A": "ghp_" + "aB3" * 12})
    assert local.leaks(made).outcome == "ok"
    made.tree["space_app/extra.txt"] = b"sk_live_" + b"aB3" * 12  # type: ignore[index]
    assert local.leaks(made).outcome == "ok"
    other = context(space=sections, variables={"B": "ghp_" + "aB3" * 12})
    found = local.leaks(other)
    assert found.outcome == "failure"
    assert "not_secret" in str(found.fix)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"a" * (10 * 1024 * 1024 + 1), "10 MB"), (b"a\0b", "binary"), (b"\xff\xfe", "binary")],
    ids=["large", "a NUL", "not UTF-8"],
)
def test_what_git_on_the_hub_refuses_is_named(content: bytes, said: str) -> None:
    """Files that must be large files there are listed with the reason."""
    found = local.sizes(with_tree({"odd.bin": content}))
    assert found.outcome == "warning"
    assert f"odd.bin ({said})" in found.detail


def test_ten_megabytes_of_text_are_fine() -> None:
    """The limit itself is allowed."""
    assert local.sizes(with_tree({"a.txt": b"a" * (10 * 1024 * 1024)})).outcome == "ok"


def test_the_checkouts_state_is_told(checkout: Path) -> None:
    """A commit is fine; changes on top of it are a warning."""
    made = replace(context(), toolkit=checkout)
    assert local.git(made).outcome == "ok"
    (checkout / "file").write_text("2")
    found = local.git(made)
    assert found.outcome == "warning"
    assert "changes on top of" in found.detail


def test_a_copy_without_git_is_told(tmp_path: Path) -> None:
    """Files that were copied have no commit."""
    found = local.git(replace(context(), toolkit=tmp_path))
    assert "no git checkout" in found.detail


def test_no_git_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without git gets a warning, not a failure."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "There is no git here" in local.git(context()).detail


def test_no_engine_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Docker everything goes on, as processes."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    found = local.docker(context())
    assert found.outcome == "warning"
    assert "processes" in str(found.fix)


def test_the_base_images_digest_is_told_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An engine that pulled the image knows it; a base that names a digest needs no advice."""
    engine = Mock(**{"digest.return_value": "sha256:0f"})
    monkeypatch.setattr(DockerEngine, "connect", lambda: engine)
    advice = 'image.base = "python:3.11-slim@sha256:0f"'
    assert advice in local.docker(context()).detail
    pinned = context(image={"base": f"python:3.11-slim@sha256:{'0f' * 32}"})
    assert local.docker(pinned).detail == "an engine answers"
    engine.digest.return_value = None
    assert local.docker(context()).detail == "an engine answers"


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The limit is what a build takes."""
    monkeypatch.setattr(local, "_BUILD_BYTES", 10**18)
    assert local.disk(context()).outcome == "warning"
    monkeypatch.setattr(local, "_BUILD_BYTES", 1)
    monkeypatch.setattr(local, "_DOCKER_FOLDER", tmp_path / "none")
    assert local.disk(context()).outcome == "ok"


def test_a_template_that_does_not_render(tmp_path: Path) -> None:
    """What is wrong with it is the finding; the checks of files have nothing to look at."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "Dockerfile.j2").write_text("FROM {{ image.no_such_key }}\n")
    made = replace(context(), toolkit=tmp_path)
    found = local.templates(made)
    assert (found.outcome, found.exit_code) == ("failure", Exit.USAGE)
    assert "no_such_key" in found.detail
    with pytest.raises(Unknown, match="a template cannot be rendered"):
        local.leaks(made)
