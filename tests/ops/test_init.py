from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ops import config_file
from ops.config import Config
from ops.errors import ConfigError, Exit
from ops.init import init

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["my-embeddings", "me/my_embeddings.2"])
def test_init_writes_a_valid_config(tmp_path: Path, name: str) -> None:
    """What is written is read back as nothing but defaults and the name."""
    path = tmp_path / "space.toml"
    init(path, name)
    assert config_file.load(path) == Config.model_validate({"space": {"repo_id": name}})


def test_init_shows_every_section(tmp_path: Path) -> None:
    """Each section is there to be filled in, and the environments as a comment."""
    path = tmp_path / "space.toml"
    init(path, "my-embeddings")
    text = path.read_text(encoding="utf-8")
    assert tomllib.loads(text).keys() == Config.model_fields.keys()
    assert '# [environments.staging.space]\n# repo_id = "my-embeddings-staging"\n' in text


def test_examples_are_valid(tmp_path: Path) -> None:
    """Whoever takes the comment signs away has a valid config with an environment."""
    path = tmp_path / "space.toml"
    init(path, "my-embeddings")
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.MULTILINE), encoding="utf-8")
    config = config_file.load(path)
    assert config.image.build_args.keys() == {"PIP_INDEX_URL"}
    assert config.secrets["EMBED_API_KEYS"].env == "EMBED_API_KEYS"
    assert config_file.load(path, "staging").space.repo_id == "my-embeddings-staging"


def test_config_of_this_project_is_what_init_writes(tmp_path: Path) -> None:
    """The space.toml beside the README begins with what a newcomer gets from `ops init`."""
    path = tmp_path / "space.toml"
    init(path, "bge-embedding-api")
    assert (PROJECT / "space.toml").read_bytes().startswith(path.read_bytes())


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    """A config that exists stays as it is."""
    path = tmp_path / "space.toml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists already") as caught:
        init(path, "my-embeddings")
    assert caught.value.exit_code is Exit.USAGE
    assert "--config" in str(caught.value.next_step)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["", "my space", 'a"b', 'a"\ntitle = "x', "a/b/c", "{name}", "a\\"]
)
def test_init_refuses_what_is_no_name(tmp_path: Path, name: str) -> None:
    """Nothing is written for a name that the Hub would not take."""
    path = tmp_path / "space.toml"
    with pytest.raises(ConfigError, match="is no name for a Space") as caught:
        init(path, name)
    assert "ops init my-embeddings" in str(caught.value.next_step)
    assert not path.exists()


def test_init_in_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is an error that says so."""
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        init(tmp_path / "none" / "space.toml", "my-embeddings")
