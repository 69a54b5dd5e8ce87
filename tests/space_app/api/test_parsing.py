from __future__ import annotations

import subprocess
import sys

import pytest

from space_app.api.cl100k import Vocabulary
from space_app.api.parsing import Parser
from space_app.core.errors import InvalidRequest, MalformedBody, TokensNotText, TooManyInputs

MANY = 2000


@pytest.fixture(name="parser")
def _parser() -> Parser:
    return Parser(max_inputs=64)


@pytest.mark.parametrize("item", [b"[1],", b"[],", b'{"a":1},', b'["x"],'])
def test_bodies_of_lists_are_refused_before_they_are_parsed(parser: Parser, item: bytes) -> None:
    """A million small lists would keep everybody waiting; that these never end is not even seen."""
    with pytest.raises(TooManyInputs):
        parser.openai(b'{"input":[' + item * MANY)


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        (b"{%b}" % b",".join(b'"%d":1' % n for n in range(21_000)), "strings"),
        (b"{%b}" % b",".join([b'"same":1'] * 21_000), "strings"),
        (b"[%b]" % b",".join([b'"x"'] * 21_000), "strings"),
        (b"[%b]" % b",".join([b"0"] * 1_001_000), "values"),
    ],
    ids=["keys", "the same key", "strings", "numbers"],
)
def test_bodies_of_many_values_are_refused_before_they_are_parsed(
    parser: Parser, extra: bytes, kind: str
) -> None:
    """Nobody else is answered while they are made into objects; that they never end is not seen."""
    with pytest.raises(TooManyInputs, match=kind):
        parser.openai(b'{"input":"x","extra":%b' % extra)


def test_an_extension_of_somebody_else_may_be_long(parser: Parser) -> None:
    """What is refused is far beyond what a request needs."""
    extra = b",".join(b'"%d"' % n for n in range(19_000))

    assert parser.openai(b'{"input":"x","extra":[%b]}' % extra).input == "x"


def test_hundreds_of_thousands_of_token_numbers_are_told_what_they_are(parser: Parser) -> None:
    """LangChain sends that many at once, and its user needs the one line that helps."""
    with pytest.raises(TokensNotText):
        parser.openai(b'{"input":[[%b]]}' % b",".join([b"12345"] * 300_000))


@pytest.mark.parametrize("text", [b"[{" * MANY, b'\\"[{' * MANY, b"\\\\", b'\\\\\\"['])
def test_brackets_in_texts_are_text(parser: Parser, text: bytes) -> None:
    """Code has many of them."""
    assert parser.openai(b'{"input":"%b","user":"[[[["}' % text).input


def test_a_text_that_never_ends_is_looked_through_once(parser: Parser) -> None:
    """Half a body of quotes takes no longer than a whole one: it is read in one pass."""
    with pytest.raises(MalformedBody):
        parser.openai(b'{"input":"' + b'\\"[' * 1_000_000)


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"5", b"null"])
def test_no_object(parser: Parser, body: bytes) -> None:
    """Other JSON than an object is no request."""
    with pytest.raises(InvalidRequest, match="object"):
        parser.openai(body)


@pytest.mark.parametrize("body", [b'{"input": "secret', b'{"input": "secret\xff"}'])
def test_complaints_hold_nothing_of_the_body(parser: Parser, body: bytes) -> None:
    """Neither the message nor what is chained to it quotes."""
    with pytest.raises(MalformedBody) as caught:
        parser.openai(body)

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_wrong_fields_are_not_chained_to_their_values(parser: Parser) -> None:
    """The error that pydantic makes holds what it got."""
    with pytest.raises(InvalidRequest) as caught:
        parser.openai(b'{"input": {"secret": 1}}')

    assert caught.value.__context__ is None


def test_token_numbers_become_text_where_their_vocabulary_is_known() -> None:
    """One list is one text, several are several; strings are left as they are."""
    parser = Parser(max_inputs=9, vocabulary=Vocabulary([b"a", b" b"]))

    assert parser.openai(b'{"input": [0, 1]}').input == "a b"
    assert parser.openai(b'{"input": [[0], [1, 0]]}').input == ["a", " ba"]
    assert parser.openai(b'{"input": ["0"]}').input == ["0"]


def test_teis_token_numbers_are_of_another_vocabulary() -> None:
    """Those of `inputs` are refused all the same: there they mean the model's own."""
    parser = Parser(max_inputs=9, vocabulary=Vocabulary([b"a", b" b"]))

    with pytest.raises(TokensNotText):
        parser.inputs(b'{"inputs": [0, 1]}')


SHORT_OF_MEMORY = """
import resource, sys
import psutil
from space_app.api.parsing import Parser
body = b'{"text":[' + b",".join([b'"word"'] * 500_000) + b"]}"
limit = psutil.Process().memory_info().vms + 16 * 1024**2
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    Parser(max_inputs=500_000).openai(body)
except Exception as error:
    sys.exit(type(error).__name__)
"""


def test_valid_json_is_never_invalid() -> None:
    """Where memory is too short to read a body, that's what is said, not that it's no JSON."""
    command = [sys.executable, "-c", SHORT_OF_MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == "MemoryError"
