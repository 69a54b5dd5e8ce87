from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ops.hub.attributes import FIRST_ATTRIBUTES, LFS, Attributes, ignores

if TYPE_CHECKING:
    from pathlib import Path

TEXT = f"""\
# a comment {LFS}
*.bin {LFS}
/top.dat {LFS}
folder/** {LFS}
keep.bin -filter
*.txt text
named[[:space:]]so {LFS}
"""
PATHS = [
    *("a.bin", "deep/a.bin", "keep.bin", "top.dat", "deep/top.dat", "folder/x", "folder/deep/x"),
    *("a.txt", "named so", "nameds", "x", "saved_model/a/b", "m.safetensors"),
]


@pytest.mark.parametrize("text", [TEXT, FIRST_ATTRIBUTES.decode(), "", f"!* {LFS}\n\0"])
def test_large_are_those_that_git_would_filter(tmp_path: Path, text: str) -> None:
    """The same as git's own reading of the file."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitattributes").write_text(text)
    command = ["git", "-C", str(tmp_path), "check-attr", "-z", "filter", "--", *PATHS]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    expected = {
        path for path, value in zip(words[::3], words[2::3], strict=False) if value == "lfs"
    }
    attributes = Attributes(text)
    assert {path for path in PATHS if attributes.is_large(path)} == expected


@pytest.mark.parametrize("path", ["a.dat", "d/odd [1]*.dat", 'quo"te', "#first", "!not", "ü x"])
def test_a_file_that_is_named_is_that_file_alone(tmp_path: Path, path: str) -> None:
    """For git too: what a pattern would take for more is escaped, and it is named once."""
    after = Attributes("a text").naming([path])
    assert after.startswith("a text\n")
    assert Attributes(after).naming([path]) == after
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitattributes").write_text(after)
    others = ["b.dat", "d/odd 1x.dat", "odd"]
    command = ["git", "-C", str(tmp_path), "check-attr", "-z", "filter", "--", path, *others]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    assert words[2::3] == ["lfs", *["unspecified"] * len(others)]


def test_what_is_ignored() -> None:
    """As gitignore(5) has it; a file that cannot be read ignores nothing."""
    spec = ignores("*.log\n!keep.log\n/build/\n")
    assert spec is not None
    found = [p for p in ("a.log", "d/a.log", "keep.log", "build/x", "x") if spec.match_file(p)]
    assert found == ["a.log", "d/a.log", "build/x"]
    assert ignores("a\\") is None or not ignores("a\\").match_file("b")
