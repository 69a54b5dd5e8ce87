from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from ops.config import Config
from ops.config_file import environments, json_schema, load
from ops.errors import ConfigError, Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Write = Callable[[str], Path]

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
NAMED = '[space]\nrepo_id = "x"\n'
VALUE = "s3cr3t-value"


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "space.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path: Path, environment: str | None = None) -> ConfigError:
    """The error of reading a config."""
    with pytest.raises(ConfigError) as caught:
        load(path, environment)
    return caught.value


def everything_in(error: BaseException | None) -> Iterator[str]:
    """The text and the repr of an error and of all that is chained to it."""
    while error is not None:
        yield f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__


def test_a_name_is_enough(write: Write) -> None:
    """A file with a name alone is a whole config."""
    assert load(write(NAMED)) == Config.model_validate({"space": {"repo_id": "x"}})


def test_every_key_is_read() -> None:
    """Each type of value gets from the file into the config."""
    config = load(GOLDEN / "everything" / "space.toml")
    assert config.space.tags == ("embeddings", "yes", "0o17", "with, comma")
    assert config.space.sleep_time == 3600
    assert config.space.pinned is True
    assert config.space.custom_headers["cross-origin-opener-policy"] == "same-origin"
    assert config.model.document_instruction.startswith('passage of "C:\\texts", $5:\n\ttab')
    assert config.secrets["FROM_A_FILE"].file == "secrets/token.txt"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[space]\n", "  space.repo_id: missing"),
        ("", "  space: missing"),
        ("[spaec]\n" + NAMED, "  spaec: unknown key"),
        (NAMED + 'colour = "red"', "  space.colour: unknown key"),
        (NAMED + "pinned = 'yes'", "  space.pinned = 'yes': Input should be a valid boolean"),
        (
            NAMED + "app_port = 0",
            "  space.app_port = 0: Input should be greater than or equal to 1",
        ),
        (
            NAMED + 'header = "big"',
            "  space.header = 'big': Input should be 'default' or 'mini'",
        ),
        (NAMED + 'tags = "one"', "  space.tags = 'one': should be an array"),
        (NAMED + "tags = ['a', 2]", "  space.tags.1 = 2: Input should be a valid string"),
        (NAMED + "hf_oauth_authorized_org = 3", "  space.hf_oauth_authorized_org = 3: should be"),
        ("space = 'x'", "  space = 'x': should be a table"),
        (NAMED + "[model.id]\na = 1", "  model.id = {'a': 1}: Input should be a valid string"),
        (NAMED + "[variables]\nA = 1", "  variables.A = 1: Input should be a valid string"),
        (NAMED + '[variables]\nA-B = "x"', "  variables.A-B = 'A-B': String should match pattern"),
        (NAMED + "sleep_time = 60", "  space: sleep_time is fixed to 48 hours on cpu-basic"),
        (NAMED + "emoji = ''", "  space.emoji = '': String should have at least 1 character"),
        (
            NAMED + f"title = '{'x' * 80}'\n[model]\nrevision = '{'x' * 80}\t'",
            "model.revision: must be",
        ),
        (
            NAMED + f"short_description = '{'x' * 61}'",
            "  space.short_description: String should have at most 60 characters",
        ),
        (
            NAMED + '[variables]\nA = "x"\n[secrets]\nA = { env = "A" }',
            "  secrets: A: also in [variables]; the Hub refuses a name used for both",
        ),
    ],
)
def test_problem_names_key_value_and_rule(write: Write, text: str, said: str) -> None:
    """What is wrong is said in one line: the key, the value, and what it should be."""
    error = refusal(write(text))
    assert said in error.message
    assert "space.toml has" in error.message
    assert error.exit_code is Exit.USAGE
    assert "ops config schema" in str(error.next_step)


def test_all_problems_at_once(write: Write) -> None:
    """Several problems are all named, so that one run is enough to correct them."""
    text = NAMED + "pinned = 1\nno_such = 1\n[server]\nmax_inputs = 0\n[secrets]\nA = 'x'\n"
    head, *lines = refusal(write(text)).message.splitlines()
    assert head.endswith("space.toml has 4 problems:")
    keys = {re.split(r"[ :]", line.strip())[0] for line in lines}
    assert keys == {"space.pinned", "space.no_such", "server.max_inputs", "secrets.A"}


@pytest.mark.parametrize(
    "text",
    [
        f'[secrets]\nA = "{VALUE}"',
        f'[secrets]\nA = {{ value = "{VALUE}" }}',
        f'[secrets]\nA = {{ env = "{VALUE}" }}',
        f'[secrets]\nA = {{ env = ["{VALUE}"] }}',
        f'[secrets]\nA = {{ env = "A", file = "{VALUE}" }}',
        f'[secrets]\nA = ["{VALUE}"]',
        f'[secrets]\nA.B.C = "{VALUE}"',
        f'[secrets]\n"1" = "{VALUE}"',
        f'secrets = "{VALUE}"',
        f'[space]\nHF_TOKEN = "{VALUE}"',
        f'HF_TOKEN = "{VALUE}"',
        f'[variables]\nEMBED_API_KEYS = "{VALUE}"',
        f'[secrets]\nA = "{VALUE}',
        f"[secrets]\nA = {VALUE}",
        f'[secrets]\nA = "{VALUE}"\nA = "{VALUE}"',
        f'[environments]\nsecrets = "{VALUE}"',
    ],
)
def test_secret_is_not_repeated(write: Write, text: str) -> None:
    """A secret's value that was put into the file is in no part of the error or its traceback."""
    error = refusal(write(text if text.startswith("[space]") else text + f"\n{NAMED}"))
    for shown in everything_in(error):
        assert VALUE not in shown


def test_token_is_not_repeated(write: Write) -> None:
    """What looks like a Hub token is not shown, whichever key it was given to."""
    token = "hf_" + "a1B2" * 8
    error = refusal(
        write(NAMED + f'header = "{token}"\n[variables]\nA = ["{token}"]\nB = "{token}"')
    )
    assert "3 problems" in error.message
    for shown in everything_in(error):
        assert token not in shown


def test_no_file(tmp_path: Path) -> None:
    """Without a config the next step is to make one."""
    error = refusal(tmp_path / "space.toml")
    assert error.message == f"There is no {tmp_path / 'space.toml'}."
    assert "ops init" in str(error.next_step)
    assert error.exit_code is Exit.USAGE


def test_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in the place of the file is said to be one."""
    assert "cannot be read: Is a directory" in refusal(tmp_path).message


def test_not_toml(write: Write) -> None:
    """What is not TOML is named with its line."""
    message = refusal(write('[space]\nrepo_id = "x"\ntitle: "x"\n')).message
    assert "is not valid TOML" in message
    assert "line 3" in message


def test_not_text(tmp_path: Path) -> None:
    """A file in another encoding is said to be one, without its content."""
    path = tmp_path / "space.toml"
    path.write_bytes(f'{NAMED}title = "caf\u00e9"\nsecret = "{VALUE}"'.encode("latin-1"))
    error = refusal(path)
    assert "is not UTF-8 text" in error.message
    for shown in everything_in(error):
        assert VALUE not in shown


# --- environments ------------------------------------------------------------------------------

STAGED = """
[space]
repo_id = "me/app"
hardware = "cpu-upgrade"
tags = ["a", "b"]

[model]
id = "me/model"
revision = "1"

[image.build_args]
A = "1"

[variables]
KEPT = "base"
CHANGED = "base"

[secrets]
KEY = { env = "KEY" }

[environments.staging.space]
repo_id = "me/app-staging"
tags = ["c"]

[environments.staging.server]
max_inputs = 5

[environments.staging.image.build_args]
B = "2"

[environments.staging.variables]
CHANGED = "staging"
ADDED = "staging"

[environments.staging.secrets]
KEY = { file = "key" }

[environments.broken.space]
hardware = "cpu-basic"
sleep_time = 5

[environments.unknown.spaec]
title = "x"

[environments.text]
space = "x"
"""


def test_environment_overrides_key_by_key(write: Write) -> None:
    """An environment changes the keys it names, and every other key stays as it was."""
    path = write(STAGED)
    base, staging = load(path), load(path, "staging")
    assert base.space.repo_id == "me/app"
    assert staging.space == base.space.model_copy(
        update={"repo_id": "me/app-staging", "tags": ("c",)}
    )
    assert staging.model == base.model
    assert (base.server.max_inputs, staging.server.max_inputs) == (2048, 5)
    assert staging.variables == {"KEPT": "base", "CHANGED": "staging", "ADDED": "staging"}
    assert base.variables == {"KEPT": "base", "CHANGED": "base"}


def test_environment_replaces_what_a_key_holds(write: Write) -> None:
    """A key's whole value is replaced: a secret has its new source only."""
    staging = load(write(STAGED), "staging")
    assert staging.secrets["KEY"].model_dump(exclude_none=True) == {"file": "key"}
    assert staging.image.build_args == {"B": "2"}


def test_environment_is_validated(write: Write) -> None:
    """What an environment makes wrong is named together with the environment."""
    path = write(STAGED)
    assert (
        "(environment broken) has a problem:\n  space: sleep_time"
        in refusal(path, "broken").message
    )
    assert (
        "(environment unknown) has a problem:\n  spaec: unknown key"
        in refusal(path, "unknown").message
    )
    assert "space = 'x': should be a table" in refusal(path, "text").message
    assert load(path).space.repo_id == "me/app"


def test_unknown_environment(write: Write) -> None:
    """An environment that is not there is named, and so are those that are."""
    error = refusal(write(STAGED), "prod")
    assert "has no environment 'prod'" in error.message
    assert error.cause == "Environments it has: broken, staging, text, unknown."
    assert "[environments.prod.space]" in str(error.next_step)


def test_no_environments_at_all(write: Write) -> None:
    """Without any environment the error says that there is none."""
    assert refusal(write(NAMED), "staging").cause == "Environments it has: none."


@pytest.mark.parametrize("text", ['environments = "staging"\n', "[environments]\nstaging = 1\n"])
def test_environments_are_tables(write: Write, text: str) -> None:
    """Environments in the wrong shape are refused with the right one."""
    path = write(text + NAMED if text.startswith("env") else NAMED + text)
    assert "[environments.staging.space]" in refusal(path).message


def test_environment_names(write: Write) -> None:
    """The environments are listed in the file's order."""
    assert environments(write(STAGED)) == ("staging", "broken", "unknown", "text")
    assert environments(write(NAMED)) == ()


# --- schema ------------------------------------------------------------------------------------


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections of space.toml that have keys of their own."""
    for name, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield name, field.annotation


def resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """What a part of a schema refers to."""
    reference = str(part.get("$ref") or part["allOf"][0]["$ref"])
    found: dict[str, Any] = schema["$defs"][reference.removeprefix("#/$defs/")]
    return found


@pytest.mark.parametrize(("name", "section"), list(sections()))
def test_schema_has_every_key(name: str, section: type[BaseModel]) -> None:
    """An editor knows each key of each section, what it is for, and that there are no others."""
    schema = json_schema()
    found = resolved(schema, schema["properties"][name])
    assert found["properties"].keys() == section.model_fields.keys()
    assert found["additionalProperties"] is False
    assert all(key["description"] for key in found["properties"].values())


def test_schema_knows_choices_defaults_and_what_is_required() -> None:
    """An editor can offer values, show defaults, and ask for the name alone."""
    schema = json_schema()
    space = resolved(schema, schema["properties"]["space"])
    assert space["properties"]["visibility"]["enum"] == ["private", "protected", "public"]
    assert space["properties"]["app_port"]["default"] == 7860
    assert space["required"] == ["repo_id"]
    assert schema["required"] == ["space"]
    assert schema["additionalProperties"] is False


def test_schema_allows_both_forms_of_an_organisation() -> None:
    """A single organisation without brackets is not marked as wrong."""
    schema = json_schema()
    space = resolved(schema, schema["properties"]["space"])
    kinds = {kind["type"] for kind in space["properties"]["hf_oauth_authorized_org"]["anyOf"]}
    assert kinds == {"string", "array"}


def test_schema_of_an_environment_requires_nothing() -> None:
    """An environment may override any key, and need not repeat the name."""
    schema = json_schema()
    override = schema["properties"]["environments"]["additionalProperties"]
    assert override["properties"].keys() == Config.model_fields.keys()
    assert override["additionalProperties"] is False
    for name, section in sections():
        found = resolved(schema, override["properties"][name])
        assert found["properties"].keys() == section.model_fields.keys()
        assert not found.get("required")


def test_schema_refers_to_nothing_that_is_not_there() -> None:
    """Every reference inside the schema leads somewhere."""
    schema = json_schema()
    references = re.findall(r"#/\$defs/(\w+)", str(schema))
    assert references
    assert set(references) <= schema["$defs"].keys()


def test_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    """Nobody sees it, so that no place in the first line would say what is wrong."""
    path = tmp_path / "space.toml"
    path.write_text('\ufeff[space]\nrepo_id = "app"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="begins with a byte-order mark") as caught:
        load(path)
    assert "UTF-8" in str(caught.value.next_step)
