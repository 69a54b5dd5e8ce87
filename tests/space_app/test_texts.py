from __future__ import annotations

import re
from pathlib import Path

import pytest

import space_app

TEXTS = Path(space_app.__file__).parent / "texts"


def _texts(name: str) -> list[str]:
    return (TEXTS / f"{name}.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")


def _bare(text: str) -> str:
    """The text without case, punctuation and doubled spaces, or itself where nothing is left."""
    return " ".join(re.findall(r"\w+", text.lower())) or text


@pytest.mark.parametrize(("name", "at_least"), [("calibration", 300), ("verification", 100)])
def test_one_text_a_line(name: str, at_least: int) -> None:
    """A file is enough texts, one a line, with no blank line and no space around a text."""
    texts = _texts(name)

    assert len(texts) >= at_least
    assert [text for text in texts if not text or text != text.strip()] == []
    assert [text for text in texts if text.splitlines() != [text]] == []


def test_no_text_twice() -> None:
    """No text is in both files or twice in one, not even in other case or punctuation."""
    texts = [_bare(text) for text in _texts("calibration") + _texts("verification")]

    assert sorted(texts) == sorted(set(texts))


@pytest.mark.parametrize(("name", "long"), [("calibration", 40), ("verification", 15)])
def test_lengths(name: str, long: int) -> None:
    """Very short texts, sentences and paragraphs make up at least three tenths each."""
    words = [len(text.split()) for text in _texts(name)]
    tenth = len(words) / 10

    assert sum(count <= 8 for count in words) >= 3 * tenth
    assert sum(8 < count < 60 for count in words) >= 3 * tenth
    assert sum(count >= 60 for count in words) >= 3 * tenth
    assert sum(count > 200 for count in words) >= long
    assert max(words) <= 350
