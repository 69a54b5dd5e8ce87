from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ops.config import SecretSource
from ops.errors import ConfigError, Exit
from ops.secret_values import SecretReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

VALUE = "s3cr3t-value"


def read(
    folder: Path,
    source: dict[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    ask: Callable[[str], str] | None = None,
) -> str:
    """The value of a secret KEY from this source."""
    reader = SecretReader(folder, environment or {}, ask)
    return reader.read({"KEY": SecretSource.model_validate(source)})["KEY"]


def refusal(folder: Path, source: dict[str, Any], **options: Any) -> ConfigError:
    """The error of reading a secret."""
    with pytest.raises(ConfigError) as caught:
        read(folder, source, **options)
    error = caught.value
    assert error.message == "The secret KEY has no value."
    assert "secrets.KEY" in str(error.next_step)
    assert error.exit_code is Exit.USAGE
    return error


def test_from_the_environment(tmp_path: Path) -> None:
    """A variable's value is taken as it is."""
    assert read(tmp_path, {"env": "A"}, environment={"A": f" {VALUE}\n"}) == f" {VALUE}\n"


@pytest.mark.parametrize(
    ("written", "value"),
    [("x", "x"), ("x\n", "x"), ("x\n\n", "x\n"), (" x ", " x "), ("a\nb\n", "a\nb")],
)
def test_from_a_file(tmp_path: Path, written: str, value: str) -> None:
    """A file beside space.toml holds the value; the newline that editors add is not part of it."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "key.txt").write_text(written)
    assert read(tmp_path, {"file": "keys/key.txt"}) == value


def test_from_a_file_elsewhere(tmp_path: Path) -> None:
    """An absolute path is not looked for beside space.toml."""
    (tmp_path / "key").write_text(VALUE)
    assert read(tmp_path / "project", {"file": str(tmp_path / "key")}) == VALUE


def test_from_a_question(tmp_path: Path) -> None:
    """The question names the secret, and the answer is its value."""
    assert read(tmp_path, {"prompt": True}, ask=lambda name: f"{name} is {VALUE}") == (
        f"KEY is {VALUE}"
    )


def test_each_secret_has_its_own_value(tmp_path: Path) -> None:
    """Several secrets from several places end up under their own names."""
    (tmp_path / "b").write_text("2")
    reader = SecretReader(tmp_path, {"X": "1"}, lambda _: "3")
    sources = {"A": {"env": "X"}, "B": {"file": "b"}, "C": {"prompt": True}}
    found = reader.read({k: SecretSource.model_validate(v) for k, v in sources.items()})
    assert found == {"A": "1", "B": "2", "C": "3"}


def test_variable_is_not_set(tmp_path: Path) -> None:
    """A variable that is not there, or empty, is named."""
    assert refusal(tmp_path, {"env": "A"}).cause == "The environment variable A is not set."
    empty = refusal(tmp_path, {"env": "A"}, environment={"A": ""})
    assert "environment variable A" in str(empty.cause)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is named, with what the system says of it."""
    cause = str(refusal(tmp_path, {"file": "key"}).cause)
    assert cause == f"{tmp_path / 'key'} cannot be read: No such file or directory."


def test_empty_file(tmp_path: Path) -> None:
    """A file with nothing but a newline holds no secret."""
    (tmp_path / "key").write_text("\n")
    assert refusal(tmp_path, {"file": "key"}).cause == "key is empty."


def test_nobody_to_ask(tmp_path: Path) -> None:
    """Without a terminal a question is an error, not a wait for ever."""
    assert refusal(tmp_path, {"prompt": True}).cause == "There is no terminal to ask on."


def test_no_answer(tmp_path: Path) -> None:
    """An empty answer is no value."""
    refusal(tmp_path, {"prompt": True}, ask=lambda _: "")


def test_undecodable_value_is_not_repeated(tmp_path: Path) -> None:
    """A file that is no text is refused, and nothing of it is in the error or its traceback."""
    (tmp_path / "key").write_bytes(VALUE.encode() + b"\xff")
    error: BaseException | None = refusal(tmp_path, {"file": "key"})
    assert "not UTF-8 text" in str(getattr(error, "cause", ""))
    while error is not None:
        assert VALUE not in f"{error!r} {vars(error)}"
        error = error.__cause__ or error.__context__


def test_first_that_is_missing_is_named_and_no_other_value(tmp_path: Path) -> None:
    """An error about one secret does not hold another one's value."""
    reader = SecretReader(tmp_path, {"X": VALUE}, None)
    sources = {"A": SecretSource(env="X"), "B": SecretSource(env="Y")}
    with pytest.raises(ConfigError, match="The secret B has no value") as caught:
        reader.read(sources)
    assert VALUE not in f"{caught.value!r} {vars(caught.value)}"


def test_reader_does_not_show_the_environment(tmp_path: Path) -> None:
    """Whatever prints a reader prints no value."""
    assert VALUE not in repr(SecretReader(tmp_path, {"X": VALUE}, None))
