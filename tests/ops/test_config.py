from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ops.config import DEFAULT_MODEL, Config, Model, holds_token


def config(**sections: Any) -> Config:
    """A config with a name and these sections."""
    return Config.model_validate({"space": {"repo_id": "x"}, **sections})


def problems(**sections: Any) -> dict[tuple[int | str, ...], str]:
    """What is wrong with a config, by key."""
    with pytest.raises(ValidationError) as caught:
        config(**sections)
    return {item["loc"]: item["msg"] for item in caught.value.errors()}


def test_a_name_is_enough() -> None:
    """Everything but the name has a default: private, free hardware, bge-base-en-v1.5, pinned."""
    default = config()
    assert (default.space.visibility, default.space.hardware) == ("private", "cpu-basic")
    assert default.model.id == DEFAULT_MODEL == "BAAI/bge-base-en-v1.5"
    assert len(default.model.revision) == 40
    assert (default.server.max_payload_mb, default.server.max_inputs) == (10, 2048)
    assert default.variables == default.secrets == {}


def test_known_model_brings_its_instruction() -> None:
    """bge-base-en-v1.5 puts its published instruction before queries and nothing elsewhere."""
    model = Model.model_validate({})
    assert model.query_instruction == "Represent this sentence for searching relevant passages: "
    assert model.document_instruction == ""


def test_what_is_set_wins_over_what_is_known() -> None:
    """A revision or an instruction of the user's own is not overwritten."""
    model = Model.model_validate({"revision": "abc", "query_instruction": ""})
    assert (model.revision, model.query_instruction) == ("abc", "")


def test_other_model_gets_nothing_of_the_default() -> None:
    """Another model has no revision and no instruction of bge's: its own prompts are left to it."""
    model = Model.model_validate({"id": "intfloat/e5-small-v2"})
    assert (model.revision, model.query_instruction) == ("main", None)
    assert model.document_instruction is None


@pytest.mark.parametrize("repo_id", ["a", "me/my-embeddings", "Org_1/a.b", "x" * 96])
def test_names(repo_id: str) -> None:
    """A Space has a name, with or without its owner."""
    assert config(space={"repo_id": repo_id}).space.repo_id == repo_id


@pytest.mark.parametrize(
    "repo_id", ["", "/a", "a/", "a/b/c", "my space", "-a", "é", "a\n", "spaces/me/a", "x" * 97]
)
def test_no_names(repo_id: str) -> None:
    """What the Hub could not take as a name is refused here."""
    assert ("space", "repo_id") in problems(space={"repo_id": repo_id})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("space", "visibility", "secret"),
        ("space", "hardware", "CPU basic"),
        ("space", "title", ""),
        ("space", "title", "two\nlines"),
        ("space", "title", "two\u2028lines"),
        ("space", "title", "two\x85lines"),
        ("space", "title", "bell\a"),
        ("space", "color_from", "teal"),
        ("space", "short_description", "x" * 61),
        ("space", "app_port", 0),
        ("space", "app_port", 65536),
        ("space", "app_port", "7860"),
        ("space", "base_path", "docs"),
        ("space", "pinned", "yes"),
        ("space", "header", "big"),
        ("space", "startup_duration_timeout", "1 hour"),
        ("space", "startup_duration_timeout", "0m"),
        ("space", "hf_oauth_expiration_minutes", 43201),
        ("space", "hf_oauth_authorized_org", 3),
        ("space", "models", ("a b",)),
        ("model", "id", "a/b/c"),
        ("model", "id", {"name": "a"}),
        ("model", "revision", ""),
        ("model", "backend", "onnx"),
        ("model", "precision", "int1"),
        ("model", "max_length", 7),
        ("model", "max_length", True),
        ("server", "max_payload_mb", 11),
        ("server", "max_payload_mb", 0),
        ("server", "max_inputs", 0),
        ("server", "max_inputs", 2048.0),
        ("server", "threads", 0),
        ("server", "default_input_type", "passage"),
        ("server", "log_format", "xml"),
        ("server", "cors_origins", "https://app.example"),
        ("server", "cors_origins", ("app.example",)),
        ("server", "cors_origins", ("https://app.example/",)),
        ("server", "cors_origins", ("https://a.example,https://b.example",)),
        ("server", "cors_origins", ("*", "https://app.example")),
        ("image", "cl100k", "yes"),
        ("image", "base", "python:3.11 AS x"),
        ("image", "base", "python:$TAG"),
        ("image", "torch_index", "a\nRUN b"),
        ("image", "build_args", {"TORCH_INDEX": "https://example.org"}),
    ],
)
def test_wrong_value_is_named(section: str, key: str, value: Any) -> None:
    """A value out of its range or of another type is a problem of its own key and no other."""
    name = {"repo_id": "x"} if section == "space" else {}
    assert {loc[:2] for loc in problems(**{section: {**name, key: value}})} == {(section, key)}


@pytest.mark.parametrize("section", ["space", "model", "server", "image"])
def test_unknown_key_is_named(section: str) -> None:
    """A key that does not exist is refused in every section."""
    name = {"repo_id": "x"} if section == "space" else {}
    assert list(problems(**{section: {**name, "no_such": 1}})) == [(section, "no_such")]
    assert list(problems(no_such={})) == [("no_such",)]


@pytest.mark.parametrize("origins", [(), ("*",), ("https://app.example", "http://[::1]:3000")])
def test_origins(origins: tuple[str, ...]) -> None:
    """No site, every site, or sites by scheme, name and port may call the server."""
    assert config(server={"cors_origins": origins}).server.cors_origins == origins


@pytest.mark.parametrize("organisations", ["a", ("a",)])
def test_one_organisation_is_a_list_of_one(organisations: Any) -> None:
    """One organisation may be written without brackets."""
    space = {"repo_id": "x", "hf_oauth_authorized_org": organisations}
    assert config(space=space).space.hf_oauth_authorized_org == ("a",)


@pytest.mark.parametrize(
    ("hardware", "seconds", "allowed"),
    [("cpu-basic", 3600, False), ("cpu-upgrade", 3600, True), ("cpu-upgrade", -1, True)],
)
def test_sleep_time_needs_paid_hardware(hardware: str, seconds: int, *, allowed: bool) -> None:
    """Free hardware has a sleep time of its own, and asking for another is refused."""
    space = {"repo_id": "x", "hardware": hardware, "sleep_time": seconds}
    if allowed:
        assert config(space=space).space.sleep_time == seconds
    else:
        assert "cpu-basic" in problems(space=space)["space",]


def test_name_as_secret_and_variable() -> None:
    """A name that is both a secret and a variable is named, for the Hub refuses the Space."""
    found = problems(variables={"A": "1", "B": "2"}, secrets={"B": {"env": "B"}})
    assert found["secrets",].startswith("Value error, B: also in [variables]")


@pytest.mark.parametrize("name", ["1A", "A-B", "", "A B", "É"])
@pytest.mark.parametrize(
    ("section", "value"), [("variables", "x"), ("secrets", {"env": "X"}), ("build_args", "x")]
)
def test_environment_names(section: str, value: Any, name: str) -> None:
    """Names that the Hub refuses for variables, secrets and ARGs are refused here."""
    sections = (
        {"image": {section: {name: value}}} if section == "build_args" else {section: {name: value}}
    )
    assert len(problems(**sections)) == 1


@pytest.mark.parametrize("source", [{"env": "TOKEN"}, {"file": "a/b.txt"}, {"prompt": True}])
def test_secret_sources(source: dict[str, Any]) -> None:
    """A secret comes from the environment, a file or a question."""
    assert config(secrets={"A": source}).secrets["A"].model_dump(exclude_none=True) == source


@pytest.mark.parametrize(
    "source",
    [
        "the-value",
        {},
        {"value": "the-value"},
        {"env": "A", "file": "b"},
        {"env": "the-value"},
        {"file": ""},
        {"prompt": False},
        3,
    ],
)
def test_secret_without_one_source(source: Any) -> None:
    """A value in the place of a reference, no source, and two of them are all refused."""
    assert all(loc[:2] == ("secrets", "A") for loc in problems(secrets={"A": source}))


TOKEN = "hf_" + "a1B2" * 8


@pytest.mark.parametrize(
    "sections",
    [
        {"variables": {"HF_TOKEN": TOKEN}},
        {"variables": {"URL": f"https://me:{TOKEN}@example.org"}},
        {"image": {"build_args": {"HF_TOKEN": TOKEN}}},
        {"variables": {"EMBED_API_KEYS": "me=key"}},
    ],
    ids=["variable", "inside", "build arg", "keys of the server"],
)
def test_secret_in_a_public_place(sections: dict[str, Any]) -> None:
    """A token, or the server's keys, among public values is refused and sent to [secrets]."""
    (message,) = problems(**sections).values()
    assert "[secrets]" in message
    assert TOKEN not in message


@pytest.mark.parametrize("text", ["hf_home", "https://hf.co", "shf_" + "a" * 30, "HF_HUB_OFFLINE"])
def test_what_is_no_token(text: str) -> None:
    """Words that only begin like a token are none."""
    assert not holds_token(text)


def test_config_does_not_change() -> None:
    """A config that was validated stays what it is."""
    with pytest.raises(ValidationError):
        config().space.title = "another"
