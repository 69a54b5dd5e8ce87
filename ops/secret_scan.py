"""Finds what looks like a secret in files: known forms of keys, and texts too random to be words.

Says where and of which kind, never what: a report of secrets must not be one more copy of them.
"""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ops.redaction import SHORT, known_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.config import Config


_VARIABLES = "variables."
"""What the path of a variable begins with."""

_SERVER = "space_app/"
"""Files that are the same in everybody's Space: a secret's value in them is a word, no leak."""


@dataclass(frozen=True, order=True)
class Suspect:
    """A place that looks like a secret; lines count from 1.

    `certain` when its form is that of a key, not only its randomness.
    """

    path: str
    line: int
    kind: str
    certain: bool = True

    def line_of(self, config: Config, tree: Mapping[str, bytes]) -> str:
        """The line, or the variable's value."""
        if self.path.startswith(_VARIABLES):
            return config.variables[self.path.removeprefix(_VARIABLES)]
        return tree[self.path].decode(errors="replace").split("\n")[self.line - 1]

    def __str__(self) -> str:
        place = self.path if self.path.startswith(_VARIABLES) else f"{self.path}:{self.line}"
        return f"{place} ({self.kind})"


@dataclass(frozen=True)
class _Rule:
    """A kind of key; looked for only where one of its words is."""

    kind: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class _Rules:
    """What secret_rules.toml says."""

    rules: tuple[_Rule, ...]
    secret_files: tuple[str, ...]
    public_files: tuple[str, ...]


_RULES = Path(__file__).with_name("secret_rules.toml")

_SK = re.compile(r"\bsk-[\w-]{20,}")
"""OpenAI, Anthropic and others; in words, such as CSS classes, these letters occur as well."""

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|(?:API|ACCESS|PRIVATE)_?KEY)$",
    re.IGNORECASE,
)
"""Names of variables that call their value secret."""

_CERTIFICATE = b"-----BEGIN "
"""A *.pem file may hold nothing but public ones."""

_TEXT = re.compile(r"[A-Za-z0-9+/_-]{20,}")
_PARTS = re.compile(r"[+/_-]")
"""Between the words of a path or a name; in a key, one sign in thirty."""
_NO_KEY = re.compile(
    r"\b(?:md5|sha\d{1,3}|h1)[-:=][A-Za-z0-9+/=_-]+"  # pins of pip, npm, browsers and Go
    r"|\bdata:[\w/+.;=-]{0,100};base64,[A-Za-z0-9+/=%]+"  # a picture within a page
    r'|"(?:application|audio|image|video)/[\w.+-]+": *"[^"]*"',  # the same in a notebook
    re.IGNORECASE,
)
"""A checksum or a file that says that it is one."""

_NAMED = re.compile(
    r"(?:api_?key|auth|credential|passwd|password|secret|token)[\w-]*[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
    r"(?P<value>[A-Za-z0-9+/_-]{16,})",
    re.IGNORECASE,
)
"""A value that its own name calls secret."""

_SHORTEST, _LONGEST = 16, 512
"""Letters and digits; what is shorter is too often something else, what is longer is data."""
_LARGE = 5_000_000
"""Bytes. In a larger file known forms are looked for, but not randomness, which takes minutes."""
_CLASSES = _LOWER, _UPPER, _DIGIT = range(3)
_HEX = re.compile(r"[0-9a-fA-F-]+=*")
_TURNS = 0.3
"""How often a letter or digit must be of another class (a-z, A-Z, 0-9) than the one before, the
small letter after a capital aside. In random text it is four in nine; in words run together, such
as a class's name, one in six."""
_VARIETY = 0.72
"""How much of the most that its length allows the variety of its characters must be."""


def scan(tree: Mapping[str, bytes]) -> tuple[Suspect, ...]:
    """Every place that looks like a secret, by path and line; at most one of a kind a line."""
    found = {suspect for path, content in tree.items() for suspect in _scan(path, content)}
    return tuple(sorted(found))


def published(config: Config, tree: Mapping[str, bytes]) -> tuple[Suspect, ...]:
    """What looks like a secret in all that a deploy publishes, without `space.not_secret`."""
    found = (*scan(tree), *scan_variables(config.variables))
    return tuple(suspect for suspect in found if suspect.path not in config.space.not_secret)


def scan_variables(variables: Mapping[str, str]) -> tuple[Suspect, ...]:
    """The same for variables, which their names may give away as well."""
    found = scan({_VARIABLES + n: f"{n}={value}".encode() for n, value in variables.items()})
    known = {suspect.path for suspect in found}
    called = (
        Suspect(_VARIABLES + name, 1, "its name says so", certain=False)
        for name, value in variables.items()
        if value and _SECRET_NAME.search(name) and _VARIABLES + name not in known
    )
    return tuple(sorted((*found, *called)))


def _scan(path: str, content: bytes) -> Iterator[Suspect]:
    if _is_for_secrets(path, content):
        yield Suspect(path, 1, "a file made for secrets")
    # Keys are ASCII, which UTF-16 writes with NULs between; latin-1 reads every file.
    text = content.replace(b"\0", b"").decode("latin-1")
    certain = set(_known(text))
    if not path.startswith(_SERVER):
        certain.update(_own(content.decode(errors="replace")))
    for line, kind in certain:
        yield Suspect(path, line, kind)
    if len(text) > _LARGE or not _is_text(content):
        return
    lines = {line for line, _ in certain}
    for number, content_of_line in enumerate(text.split("\n"), start=1):
        if number not in lines and _has_random_text(content_of_line):
            yield Suspect(path, number, "random text, as keys are", certain=False)


def _known(text: str) -> Iterator[tuple[int, str]]:
    """Line and kind of whatever has a known form."""
    for rule in _rules().rules:
        if any(word in text for word in rule.words):
            for match in rule.pattern.finditer(text):
                yield _line(text, match.start()), rule.kind
    for match in _SK.finditer(text):
        if _is_random(match[0]):
            yield _line(text, match.start()), "an API key"


def _own(text: str) -> Iterator[tuple[int, str]]:
    """The same for secrets whose values are known; a short one may be any word."""
    for start, end in known_in(text):
        if end - start >= SHORT:
            yield _line(text, start), "the value of a secret"


@functools.cache
def _rules() -> _Rules:
    data = tomllib.loads(_RULES.read_text(encoding="utf-8"))
    rules = (
        _Rule(
            rule["kind"],
            tuple(rule["words"]),
            re.compile(rf"(?<![A-Za-z0-9])(?:{rule['pattern']})"),
        )
        for rule in data["rule"]
    )
    return _Rules(tuple(rules), tuple(data["files"]["secret"]), tuple(data["files"]["public"]))


def _is_for_secrets(path: str, content: bytes) -> bool:
    name = PurePosixPath(path).name.lower()
    if not any(fnmatchcase(name, pattern) for pattern in _rules().secret_files):
        return False
    if any(fnmatchcase(name, pattern) for pattern in _rules().public_files):
        return False
    return not (_CERTIFICATE in content and b"PRIVATE KEY" not in content)


def _is_text(content: bytes) -> bool:
    """Whether it is UTF-8, or UTF-16 with hardly anything but ASCII in it."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _has_random_text(line: str) -> bool:
    line = _NO_KEY.sub("", line)
    if any(_is_hex_key(match["value"]) for match in _NAMED.finditer(line)):
        return True
    return any(_is_random(match[0]) for match in _TEXT.finditer(line))


def _is_random(text: str) -> bool:
    """Whether letters and digits are mixed as no word, path or hexadecimal number has them."""
    return not _HEX.fullmatch(text) and any(map(_is_mixed, _PARTS.split(text)))


def _is_mixed(part: str) -> bool:
    if not _SHORTEST <= len(part) <= _LONGEST:
        return False
    classes = [_class(sign) for sign in part]
    if len(set(classes)) < len(_CLASSES):
        return False
    turns = sum(
        one != other and (one, other) != (_UPPER, _LOWER) for one, other in pairwise(classes)
    )
    return turns >= _TURNS * (len(classes) - 1) and _variety(part) >= _VARIETY


def _is_hex_key(text: str) -> bool:
    """Whether it is hexadecimal of a key's length; a commit or a checksum is no name's value."""
    digits = text.replace("-", "")
    long = len(digits) >= 2 * _SHORTEST and len(set(digits)) >= _SHORTEST / 2
    return long and bool(_HEX.fullmatch(text))


def _class(sign: str) -> int:
    return _LOWER if sign.islower() else _UPPER if sign.isupper() else _DIGIT


def _variety(signs: str) -> float:
    """Shannon's entropy, as a part of the most that so many signs can have."""
    total = len(signs)
    entropy = -sum(n / total * math.log2(n / total) for n in Counter(signs).values())
    return entropy / math.log2(total)
