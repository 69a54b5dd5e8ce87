from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import running_ops
from fakes.runner import FakeRunner
from hub_world import FREE, OTHER, READ, SPACE, WRITE, hub_world

from ops import doctor
from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.config import Config
from ops.doctor import Context, Finding
from ops.errors import Conflict, Exit, HubUnreachable, NotAllowed, OpsError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

AT_ONCE = Retries(first_wait=0)
MODEL = "org/model"
NAMES = [
    "config", "secrets", "keys", "templates", "pins", "leaks", "sizes", "hub", "clock", "token",
    "role", "namespace", "plan", "name", "names", "hardware", "model", "licence", "version", "git",
    "docker", "disk",
]  # fmt: skip
SECRET = "hf_" + "Zy9" * 12


@pytest.fixture(scope="module", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("doctor")
    model = folder / "model"
    model.mkdir()
    (model / "README.md").write_text("---\nlicense: mit\n---\n")
    with hub_world(folder / "hub", FakeRunner(), mirrors={MODEL: model}) as world:
        yield world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space.toml for me/app."""
    (tmp_path / "space.toml").write_text(
        f'[space]\nrepo_id = "{SPACE}"\n[model]\nid = "{MODEL}"\n'
        '[secrets]\nEMBED_API_KEYS = { env = "KEYS" }\n'
    )
    return tmp_path


def run(
    folder: Path, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `ops` as a person would, without whatever engine this machine has."""
    own = {"DOCKER_HOST": f"unix://{folder}/docker.sock"}
    return running_ops.run(folder, *arguments, **own, **(env or {}))


def on(world: World, token: str = WRITE) -> dict[str, str]:
    """What a person exports to reach the Hub."""
    return {"HF_ENDPOINT": world.hub.endpoint, "HF_TOKEN": token, "KEYS": SECRET}


def test_the_command_shows_every_line_as_it_comes(folder: Path, world: World) -> None:
    """A line for each check on stderr, their number on stdout, and exit code 0 when all is well."""
    done = run(folder, "doctor", env=on(world))
    assert done.returncode == 0, done.stderr
    shown = [line.split()[:2] for line in done.stderr.splitlines() if not line.startswith("   ")]
    assert [name for name, _ in shown] == NAMES
    assert {outcome for _, outcome in shown} <= {"ok", "warning", "skipped"}
    assert " ok" in done.stdout


def test_json_has_the_same(folder: Path, world: World) -> None:
    """Each finding with outcome, detail and fix; a failure's exit code is the command's."""
    done = run(folder, "--json", "doctor", env=on(world, READ))
    report = json.loads(done.stdout)
    assert [finding["name"] for finding in report["findings"]] == NAMES
    (failed,) = [f for f in report["findings"] if f["outcome"] == "failure"]
    assert failed.keys() == {"name", "outcome", "detail", "fix", "exit_code"}
    assert (failed["name"], failed["exit_code"]) == ("role", 9)
    assert done.returncode == report["exit_code"] == 9
    assert failed["fix"]


def test_no_secret_is_in_what_is_said(folder: Path, world: World) -> None:
    """Neither the Hub's token nor the Space's keys come out, in no form."""
    for options in ([], ["--json"], ["-v"]):
        done = run(folder, *options, "doctor", env=on(world))
        assert WRITE not in done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr


def test_a_broken_config_hides_nothing_else(folder: Path, world: World) -> None:
    """What does not need the config is checked all the same; its exit code comes first."""
    (folder / "space.toml").write_text("[space]\n")
    done = run(folder, "--json", "doctor", env=on(world, "hf_unknown"))
    outcomes = {f["name"]: f["outcome"] for f in json.loads(done.stdout)["findings"]}
    assert list(outcomes) == NAMES
    assert [name for name in NAMES if outcomes[name] == "failure"] == ["config", "token"]
    assert outcomes["secrets"] == outcomes["namespace"] == "skipped"
    assert (outcomes["hub"], outcomes["disk"]) == ("ok", "ok")
    assert done.returncode == 2


def test_without_a_network_the_local_checks_are_made(folder: Path) -> None:
    """The Hub's silence is one failure, and every check that needs it says why it was not made."""
    env = {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_TOKEN": WRITE, "KEYS": SECRET}
    done = run(folder, "--json", "doctor", env=env)
    found = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert [name for name in NAMES if found[name]["outcome"] == "failure"] == ["hub"]
    skipped = [name for name in NAMES if found[name]["outcome"] == "skipped"]
    assert skipped == NAMES[NAMES.index("clock") : NAMES.index("git")]
    assert {found[name]["detail"] for name in skipped} == {"the Hub does not answer."}
    assert found["leaks"]["outcome"] == "ok"


def test_without_a_token_the_rest_is_skipped_with_the_reason(folder: Path, world: World) -> None:
    """The token is the failure, with exit code 9; what needs it names it."""
    env = {"HF_ENDPOINT": world.hub.endpoint, "KEYS": SECRET}
    done = run(folder, "--json", "doctor", env=env)
    found = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == 9
    assert (found["hub"]["outcome"], found["token"]["outcome"]) == ("ok", "failure")
    assert found["plan"] == {
        "name": "plan",
        "outcome": "skipped",
        "detail": "there is no token.",
        "fix": None,
        "exit_code": 0,
    }


def test_git_need_not_be_there(folder: Path, world: World) -> None:
    """A machine without git is told so, and everything else is checked."""
    done = run(folder, "--json", "doctor", env=on(world) | {"PATH": str(folder)})
    assert done.returncode == 0, done.stderr
    found = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert found["git"]["outcome"] == "warning"


def config(repo_id: str = SPACE, **variables: str) -> Config:
    """A Space of that name."""
    return Config.model_validate({"space": {"repo_id": repo_id}, "variables": variables})


@pytest.mark.parametrize(
    ("token", "wanted", "names"),
    [
        (WRITE, config(), []),
        (READ, config(), ["role"]),
        (OTHER, config(), ["namespace"]),
        (FREE, config("app"), ["plan"]),
        (WRITE, config(A=SECRET.replace("hf_", "ghp_")), ["leaks"]),
        (READ, config("other/app"), ["namespace", "role"]),
    ],
    ids=["all well", "reads", "somebody else's", "no plan", "a secret", "two"],
)
def test_preflight_is_what_must_hold(
    world: World, token: str, wanted: Config, names: list[str]
) -> None:
    """All that is wrong at once; the first is what a verb raises."""
    findings = doctor.preflight(Hub(world.hub.endpoint, token), wanted)
    assert [finding.name for finding in findings if finding.failed] == names
    if not names:
        doctor.require(findings)
        assert doctor.exit_code(findings) is Exit.DONE
        return
    with pytest.raises(OpsError) as caught:
        doctor.require(findings)
    assert caught.value.exit_code == doctor.exit_code(findings) != Exit.DONE
    assert caught.value.next_step


def test_preflight_refuses_somebody_elses_files(world: World) -> None:
    """As a conflict, unless they are to be replaced."""
    world.create()
    world.push({"app.py": b"mine"})
    hub = Hub(world.hub.endpoint, WRITE)
    try:
        with pytest.raises(Conflict, match="not made by embedding-space"):
            doctor.require(doctor.preflight(hub, config()))
        doctor.require(doctor.preflight(hub, config(), adopt=True))
    finally:
        world.api.delete_repo(SPACE, repo_type="space")


def test_preflight_raises_what_the_hub_said() -> None:
    """A Hub that is away is not taken for a token that is wrong."""
    with pytest.raises(HubUnreachable):
        doctor.require(
            doctor.preflight(Hub("http://127.0.0.1:1", WRITE, retries=AT_ONCE), config())
        )


def test_a_failure_that_nobody_expected_is_a_line_too(world: World) -> None:
    """When the Hub goes away halfway, the checks after it are made."""
    hub = Hub("http://127.0.0.1:1", WRITE, retries=AT_ONCE)
    made = Context(config(), public=Hub(world.hub.endpoint, None), hub=hub)
    seen: list[Finding] = []
    findings = doctor.examine(made, seen.append)
    assert [finding.name for finding in findings] == NAMES
    assert list(findings) == seen
    assert doctor.exit_code(findings) is Exit.UNEXPECTED
    assert isinstance(next(f for f in findings if f.failed).error(), HubUnreachable)
    assert not any(isinstance(f.error(), NotAllowed) for f in findings if f.failed)
