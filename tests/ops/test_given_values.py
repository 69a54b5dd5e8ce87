from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ops.config import SecretSource
from ops.errors import ConfigError
from ops.given_values import Given, Reader, Source, checked, pairs, require_name
from ops.secret_values import SecretReader

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = "s3cr3t-value"
TOKEN = "hf_" + "Zq3vN8rT1xWm5LbY7cHd2FgJ"


def reader(stdin: bytes = b"", ask: Callable[[str], str] | None = None, **env: str) -> Reader:
    """What reads this environment and this stdin."""
    return Reader(env, lambda: stdin, ask)


def everything_in(error: BaseException | None) -> str:
    """The text and the repr of an error and of all that is chained to it."""
    found = ""
    while error is not None:
        found += f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__
    return found


def refusal(ask: Callable[[], Any]) -> ConfigError:
    """The error of asking; it repeats no value."""
    with pytest.raises(ConfigError) as caught:
        ask()
    shown = everything_in(caught.value)
    assert VALUE not in shown
    assert TOKEN not in shown
    return caught.value


def test_one_value(tmp_path: Path) -> None:
    """From wherever it is said to be; the last newline of a file or of stdin is not part of it."""
    (tmp_path / "f").write_text(f"{VALUE}\n\n")
    assert reader(A=f" {VALUE}\n").read(Source("env", "A")) == f" {VALUE}\n"
    assert reader().read(Source("file", str(tmp_path / "f"))) == f"{VALUE}\n"
    assert reader(VALUE.encode() + b"\n").read(Source("stdin")) == VALUE
    assert reader(ask=lambda name: f"{name}!").read(Source("prompt", "A")) == "A!"


def test_no_value(tmp_path: Path) -> None:
    """Nothing there is an error that says where to look, not an empty value."""
    (tmp_path / "f").write_text("\n")
    (tmp_path / "bytes").write_bytes(VALUE.encode() + b"\xff")
    for source, cause in (
        (Source("env", TOKEN), "takes a variable's name"),
        (Source("file", str(tmp_path / "f")), "file is empty"),
        (Source("file", TOKEN), "No such file"),
        (Source("file", str(tmp_path / "bytes")), "not UTF-8"),
        (Source("stdin"), "Nothing came on stdin"),
        (Source("prompt", "A"), "no terminal"),
    ):
        error = refusal(lambda source=source: reader().read(source))
        assert cause in str(error.cause)
    assert TOKEN not in repr(Source("env", TOKEN))


def test_sources_in_space_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is named as seen from space.toml's folder; stdin is there only once."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path)
    named = {
        source: source.in_space_toml(Path("project"))
        for source in (Source("env", "A"), Source("file", "keys/a"), Source("prompt", "A"))
    }
    assert list(named.values()) == [
        SecretSource(env="A"),
        SecretSource(file="../keys/a"),
        SecretSource(prompt=True),
    ]
    absolute = str(tmp_path / "a")
    assert Source("file", absolute).in_space_toml(Path()) == SecretSource(file=absolute)
    assert Source("stdin").in_space_toml(Path()) is None
    refusal(lambda: Source("env", "a-b").in_space_toml(Path()))


@pytest.mark.parametrize("content", [b"key\r\n", b"\xef\xbb\xbfkey\n", b"a\r\nb\r\n", b"key\r"])
def test_a_file_of_windows_is_read_as_space_toml_reads_it(tmp_path: Path, content: bytes) -> None:
    """Line ends and a byte-order mark are no part of a value, by whichever way it is read."""
    (tmp_path / "key").write_bytes(content)
    sources = {"KEY": SecretSource(file="key")}
    value = SecretReader(tmp_path, {}, None).read(sources)["KEY"]
    assert value == content.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
    assert reader().read(Source("file", str(tmp_path / "key"))) == value
    assert reader(content).read(Source("stdin")) == value


def test_an_env_file_of_windows() -> None:
    """Neither its mark nor its line ends are part of a name or a value."""
    text = '\ufeffA=1\r\nB="two\r\nlines"\r\n'
    found = reader(text.encode()).read_env_file("-")
    assert [(given.name, given.value) for given in found] == [("A", "1"), ("B", "two\nlines")]


def test_an_env_file(tmp_path: Path) -> None:
    """As shells and Docker write them; nothing in a value is replaced."""
    path = tmp_path / ".env"
    path.write_text(
        "# comment\n\n\nA=1  # one\nexport B='two $words ${A}'\n"
        'C="line\\nline"\n\nD="-----BEGIN\nEND-----"\nE=\n',
        encoding="utf-8",
    )
    found = reader().read_env_file(str(path))
    assert [(one.name, one.value, one.where) for one in found] == [
        ("A", "1", "line 4"),
        ("B", "two $words ${A}", "line 5"),
        ("C", "line\nline", "line 6"),
        ("D", "-----BEGIN\nEND-----", "line 8"),
        ("E", "", "line 10"),
    ]


def test_some_of_an_env_file() -> None:
    """Only what is named, from stdin; the rest need not even be right. What is missing is named."""
    stdin = b"A=1\nnot-a-name=2\nB=3\n"
    assert reader(stdin).read_env_file("-", ["B"]) == (Given("B", "3", "line 3"),)
    error = refusal(lambda: reader(stdin).read_env_file("-", ["B", "C"]))
    assert error.message == "The file has no C."
    refusal(lambda: reader(stdin).read_env_file("-", [TOKEN]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"A=1\n{VALUE}\n", "Line 2 of the file is not of the form NAME=value."),
        (f"A=1\n\nB='{VALUE}\n", "Line 3 of the file is not of the form NAME=value."),
        (f"A=1\n{TOKEN}=x\n", "What should be a name (line 2) looks like a Hugging Face token."),
        (f"{VALUE}=x\n", "What should be a name (line 1) is none."),
        (f"A={VALUE}\nB=1\nA=2\n", "A is given twice: line 1 and line 3."),
        ("A=\0", "The value of A is not a text."),
    ],
)
def test_a_line_that_is_wrong(text: str, message: str) -> None:
    """It is told by its number."""
    assert refusal(lambda: reader(text.encode()).read_env_file("-")).message == message


def test_pairs() -> None:
    """NAME=value, where a value may have = in it and may be empty."""
    found = pairs(["A=1=2", "B="])
    assert [(one.name, one.value) for one in found] == [("A", "1=2"), ("B", "")]
    assert "Argument 2" in refusal(lambda: pairs(["A=1", VALUE])).message
    assert "A is given twice" in refusal(lambda: pairs(["A=1", "A=2"])).message
    assert "1=2" not in repr(found)


def test_a_value_that_cannot_be_sent() -> None:
    """Python keeps an environment variable's odd bytes as half characters."""
    refusal(lambda: checked([Given("A", f"{VALUE}\udcff", "argument 1")]))


@pytest.mark.parametrize("name", ["", "1A", "A-B", "_A", "A B", "Ä", "A\n", TOKEN])
def test_names(name: str) -> None:
    """The Hub's rule; and what looks like a key is a value in the wrong place."""
    refusal(lambda: require_name(name, "argument 1"))
    require_name("A_1b", "argument 1")
