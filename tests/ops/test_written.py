from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ops.written import Written, default_path

if TYPE_CHECKING:
    from pathlib import Path

LIVE: dict[str, str | None] = {"KEYS": "2026-01-01T00:00:00+00:00"}


@pytest.fixture(name="written")
def _written(tmp_path: Path) -> Written:
    """What was written to a Space whose secret KEYS is "one"."""
    written = Written("http://hub me/app", tmp_path / "state" / "written.json")
    written.note({"KEYS": "one"}, LIVE, "protected")
    return written


def test_a_value_is_told_from_another(written: Written) -> None:
    """The same value is the same, another is changed."""
    assert written.compare({"KEYS": "one"}, LIVE) == {"KEYS": "same"}
    assert written.compare({"KEYS": "two"}, LIVE) == {"KEYS": "changed"}


def test_what_was_set_elsewhere_is_not_known(written: Written) -> None:
    """A secret that the Hub says was set at another time may be anything."""
    later: dict[str, str | None] = {"KEYS": "2026-01-02T00:00:00+00:00"}
    assert written.compare({"KEYS": "one"}, later) == {"KEYS": "unknown"}
    assert written.compare({"KEYS": "one"}, {"KEYS": None}) == {"KEYS": "unknown"}


def test_another_space_is_not_known(written: Written) -> None:
    """What was written to one Space says nothing of another."""
    other = Written("http://hub me/other", written.path)
    assert other.compare({"KEYS": "one"}, LIVE) == {"KEYS": "unknown"}
    assert other.visibility() is None
    assert written.visibility() == "protected"


def test_no_value_is_kept(written: Written) -> None:
    """The file holds no value, and nobody else may read it."""
    written.note({"KEYS": "a-very-secret-value"}, LIVE, "private")
    assert "a-very-secret-value" not in written.path.read_text()
    assert stat.S_IMODE(written.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(written.path.parent.stat().st_mode) == 0o700


def test_one_thing_is_noted_beside_the_others(written: Written) -> None:
    """A secret alone: what else is known stays known."""
    live = LIVE | {"OTHER": "2026-01-03T00:00:00+00:00"}
    written.note_secrets({"OTHER": "two"}, live)
    assert written.compare({"KEYS": "one", "OTHER": "two"}, live) == {
        "KEYS": "same",
        "OTHER": "same",
    }
    assert written.visibility() == "protected"


def test_visibility_is_what_the_hub_tells_first(written: Written) -> None:
    """Private is private; not private is what was set last, or is not known."""
    assert written.visibility_of(private=True) == "private"
    assert written.visibility_of(private=False) == "protected"
    written.note(None, {}, "private")
    assert written.visibility_of(private=False) == "public or protected"


def test_two_machines_keep_different_hashes(written: Written, tmp_path: Path) -> None:
    """The key is the machine's own, so a file tells nothing without it."""
    other = Written(written.space, tmp_path / "other.json")
    other.note({"KEYS": "one"}, LIVE, "protected")
    digests = {path: _digest(path) for path in (written.path, other.path)}
    assert len(set(digests.values())) == 2


def test_a_damaged_file_is_as_none(written: Written) -> None:
    """Nothing is known then, and the next note starts anew."""
    written.path.write_text("{")
    assert written.compare({"KEYS": "one"}, LIVE) == {"KEYS": "unknown"}
    written.note({"KEYS": "one"}, LIVE, "private")
    assert written.compare({"KEYS": "one"}, LIVE) == {"KEYS": "same"}


def test_a_damaged_key_is_as_none(written: Written) -> None:
    """One that cannot be a key is as a file that cannot be read."""
    written.path.write_text(written.path.read_text().replace('"key": "', '"key": "no key '))
    assert written.compare({"KEYS": "one"}, LIVE) == {"KEYS": "unknown"}
    written.note({"KEYS": "one"}, LIVE, "private")
    assert written.compare({"KEYS": "one"}, LIVE) == {"KEYS": "same"}


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    """No folder to write to ends nothing, and leaves nothing behind: the reason is told."""
    (tmp_path / "taken").write_text("")
    (tmp_path / "state" / "written.json").mkdir(parents=True)
    for path in (tmp_path / "taken" / "written.json", tmp_path / "state" / "written.json"):
        said: list[str] = []
        Written("http://hub me/app", path, said.append).note({"KEYS": "one"}, LIVE, "private")
        assert len(said) == 1
        assert said[0].startswith(f"{path} can't be written (")
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["written.json"]


def test_two_runs_at_once_keep_what_both_wrote(tmp_path: Path) -> None:
    """Each changes its own Space's entry, whatever the others do in between."""
    path = tmp_path / "state" / "written.json"

    def note(number: int) -> None:
        Written(f"http://hub me/{number}", path).note({"KEYS": "one"}, LIVE, "private")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(note, range(32)))
    for number in range(32):
        written = Written(f"http://hub me/{number}", path)
        assert written.compare({"KEYS": "one"}, LIVE) == {"KEYS": "same"}


def test_who_has_no_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a folder, as containers have them, is told so and no more."""

    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", no_home)
    said: list[str] = []
    Written("http://hub me/app", default_path(), said.append).note(None, {}, "private")
    assert len(said) == 1


def _digest(path: Path) -> str:
    return path.read_text().partition('"digest": "')[2].partition('"')[0]


def test_no_test_writes_where_the_user_keeps_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a test deploys without naming a file is noted in a folder of the tests."""
    assert default_path().is_relative_to(tmp_path_factory.getbasetemp())
