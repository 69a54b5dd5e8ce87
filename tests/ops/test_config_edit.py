from __future__ import annotations

import stat
import tomllib
from typing import TYPE_CHECKING

import pytest

from ops.config_edit import Edit, SpaceFile
from ops.errors import ConfigError, Conflict

if TYPE_CHECKING:
    from pathlib import Path

HARDWARE = Edit("space", "hardware", "t4-small")
VARIABLE = Edit("variables", "A", "1")
SECRET = Edit("secrets", "K", {"env": "K"})


def edited(folder: Path, text: str, *edits: Edit, environment: str | None = None) -> str:
    """The text after the edits."""
    path = folder / "space.toml"
    path.write_bytes(text.encode())
    return SpaceFile(path, environment).edited(edits)


def test_everything_else_stays(tmp_path: Path) -> None:
    """Comments, order and blanks; a new key goes below the others, not below the next heading."""
    before = (
        "# About this file.\n\n"
        "[space]   # the Space\n"
        'repo_id = "x"  # its name\n'
        "hardware = 'cpu-upgrade'   # 8 vCPU\n"
        "# sleep_time = 600\n\n"
        "[secrets]\n"
        '# K = { env = "OTHER" }\n\n'
        "# About the variables.\n"
        "[variables]\n"
        'Z = "26"\n\n'
        "# The end.\n"
    )
    after = edited(tmp_path, before, HARDWARE, VARIABLE, SECRET)
    assert after == before.replace("'cpu-upgrade'", '"t4-small"').replace(
        'Z = "26"\n', 'Z = "26"\nA = "1"\n'
    ).replace('OTHER" }\n', 'OTHER" }\nK = { env = "K" }\n')


def test_a_removed_key_takes_its_line(tmp_path: Path) -> None:
    """Its comment goes with it; one that is not there is none to remove."""
    before = '[space]\nrepo_id = "x"\n[variables]\nA = "1"  # one\nB = "2"\n'
    after = edited(tmp_path, before, Edit("variables", "A", None), Edit("secrets", "NONE", None))
    assert after.startswith('[space]\nrepo_id = "x"\n[variables]\nB = "2"\n')


@pytest.mark.parametrize(
    "text",
    [
        '[space]\nrepo_id = "x"',
        'space = { repo_id = "x" }\nvariables = { B = "2" }\n',
        'space.repo_id = "x"\nvariables.B = "2"\n',
        '[space]\r\nrepo_id = "x"\r\n\r\n[secrets]\r\n',
        '[space]\nrepo_id = "x"\n[space.custom_headers]\n[variables]\n',
    ],
    ids=["no newline", "inline", "dotted", "CRLF", "subtable"],
)
def test_however_it_is_written(tmp_path: Path, text: str) -> None:
    """The result says what it said, and the edits."""
    after = tomllib.loads(edited(tmp_path, text, HARDWARE, VARIABLE, SECRET))
    wanted = tomllib.loads(text)
    wanted["space"]["hardware"] = "t4-small"
    wanted.setdefault("variables", {})["A"] = "1"
    wanted["secrets"] = {"K": {"env": "K"}}
    assert after == wanted


@pytest.mark.parametrize("value", ['say "hi"', "a\nb", "C:\\x", "#no", "ü", "'''", "\x1b"])
def test_any_value(tmp_path: Path, value: str) -> None:
    """A text is read back as it was, be it a variable's or a file's name."""
    text = edited(tmp_path, '[space]\nrepo_id = "x"\n', Edit("variables", "A", value))
    assert tomllib.loads(text)["variables"] == {"A": value}


def test_an_environment_has_tables_of_its_own(tmp_path: Path) -> None:
    """Nothing else is touched, not even with environments in between."""
    before = (
        '[environments.a.space]\nrepo_id = "a"\n[space]\nrepo_id = "x"\n'
        '[environments.b.space]  # b\nrepo_id = "b"\n'
    )
    after = edited(tmp_path, before, HARDWARE, VARIABLE, SECRET, environment="b")
    wanted = tomllib.loads(before)
    wanted["environments"]["b"] = {
        "space": {"repo_id": "b", "hardware": "t4-small"},
        "variables": {"A": "1"},
        "secrets": {"K": {"env": "K"}},
    }
    assert tomllib.loads(after) == wanted
    assert "# b" in after


def test_an_invalid_result_is_refused(tmp_path: Path) -> None:
    """Be it for the file alone or for another environment of it than the one that is edited."""
    before = '[space]\nrepo_id = "x"\nhardware = "t4-small"\nsleep_time = 600\n'
    with pytest.raises(ConfigError, match=r"(?s)Not saved, for then .*sleep_time is fixed"):
        edited(tmp_path, before, Edit("space", "hardware", "cpu-basic"))
    staging = '[space]\nrepo_id = "x"\n[environments.staging.secrets]\nA = { env = "A" }\n'
    with pytest.raises(ConfigError, match=r"(?s)environment staging.*A: also in \[variables\]"):
        edited(tmp_path, staging, VARIABLE)


def test_a_layout_that_cannot_be_edited(tmp_path: Path) -> None:
    """Where tomlkit would write something else than what is wanted, nothing is written."""
    before = (
        '[environments]\n[environments.a.variables]\nB = "1"\n[environments.a]\nmodel = {}\n'
        '[space]\nrepo_id = "x"\n[environments.a.space]\nrepo_id = "a"\n'
    )
    with pytest.raises(ConfigError, match="too unusual for --save") as caught:
        edited(tmp_path, before, SECRET, HARDWARE)
    assert "by hand" in str(caught.value.next_step)


def test_what_was_invalid_before_is_no_matter(tmp_path: Path) -> None:
    """Each environment may bring the name that the file alone lacks."""
    before = '[environments.a.space]\nrepo_id = "a"\n[environments.b.model]\nid = "b"\n'
    assert "t4-small" in edited(tmp_path, before, HARDWARE, environment="a")


def test_what_all_have_in_common_is_not_removed_for_one(tmp_path: Path) -> None:
    """An environment can only add and change."""
    before = '[space]\nrepo_id = "x"\n[variables]\nA = "1"\n[environments.a.variables]\nB = "1"\n'
    with pytest.raises(ConfigError, match="not the environment's own"):
        edited(tmp_path, before, Edit("variables", "A", None), environment="a")


def test_saving_edits_the_file_as_it_is_now(tmp_path: Path) -> None:
    """What was changed since the edits were thought of stays; so do the file's mode and a link."""
    real = tmp_path / "real.toml"
    real.write_text('[space]\nrepo_id = "x"\n')
    real.chmod(0o640)
    link = tmp_path / "space.toml"
    link.symlink_to(real)
    file = SpaceFile(link)
    file.edited([VARIABLE])
    real.write_text('[space]\nrepo_id = "x"  # ours\ntitle = "Mine"\n')
    file.save([VARIABLE])
    assert real.read_text() == (
        '[space]\nrepo_id = "x"  # ours\ntitle = "Mine"\n\n[variables]\nA = "1"\n'
    )
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"real.toml", "space.toml"}


@pytest.mark.parametrize(
    "now",
    [
        "[space\n",
        '[space]\nrepo_id = "x"\n',
        '[space]\nrepo_id = "x"\n[environments.a.secrets]\nA = { env = "A" }\n',
    ],
    ids=["no TOML", "no such environment", "taken by a secret"],
)
def test_a_file_that_cannot_be_edited_any_more_stays(tmp_path: Path, now: str) -> None:
    """It is a conflict, and names what to write by hand."""
    path = tmp_path / "space.toml"
    path.write_text(now)
    with pytest.raises(Conflict, match="changed meanwhile"):
        SpaceFile(path, "a").save([VARIABLE])
    assert path.read_text() == now
    assert VARIABLE.by_hand("a") == 'add A = "1" to [environments.a.variables]'
    assert Edit("secrets", "K", None).by_hand(None) == "remove K from [secrets]"


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """It is known before anything else is done."""
    file = SpaceFile(tmp_path / "none" / "space.toml")
    with pytest.raises(ConfigError, match="can't be written: No such file or directory"):
        file.require_writable()
