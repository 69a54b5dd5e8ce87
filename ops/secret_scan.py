"""Finds what looks like a secret in files: known forms of keys, and texts too random to be words.

Says where and of which kind, never what: a report of secrets must not be one more copy of them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, order=True)
class Suspect:
    """A place that looks like a secret; lines count from 1.

    `certain` when its form is that of a key, not only its randomness.
    """

    path: str
    line: int
    kind: str
    certain: bool = True

    def __str__(self) -> str:
        return f"{self.path}:{self.line} ({self.kind})"


_KNOWN = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "a Hugging Face token": r"\bhf_(?:[A-Za-z0-9]{20,}|jwt_[\w.-]{20,})|\bapi_org_\w{30,}",
        "a GitHub token": r"\bgh[oprsu]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{22,}",
        "a GitLab token": r"\bglpat-[\w-]{20,}",
        "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        "a Google API key": r"\bAIza[\w-]{35}",
        "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        "a Stripe key": r"\b[rs]k_live_[A-Za-z0-9]{16,}",
        "an npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
        "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----",
        "a JSON Web Token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",
        "a password in a URL": r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"<>]*:[^\s/@'\"<>${}]{3,}@",
    }.items()
}
"""Forms that their makers document, or that a format has of its own."""

_SK = re.compile(r"\bsk-[\w-]{20,}")
"""OpenAI, Anthropic and others; in words, such as CSS classes, these letters occur as well."""

_FILES = frozenset(
    {".env", ".git-credentials", ".netrc", ".npmrc", ".pypirc", "id_ecdsa", "id_ed25519", "id_rsa"}
)
"""Names of files whose purpose is to hold secrets."""

_TEXT = re.compile(r"[A-Za-z0-9+/_-]{20,}")
_PARTS = re.compile(r"[+/_-]")
"""Between the words of a path or a name; in a key, one sign in thirty."""
_DIGEST = re.compile(r"\b(?:md5|sha\d{1,3})[-:=][A-Za-z0-9+/=_-]+", re.IGNORECASE)
"""A checksum that says so: pins of pip, integrity of browsers and npm."""

_NAMED = re.compile(
    r"(?:api_?key|auth|credential|passwd|password|secret|token)[\w-]*[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
    r"(?P<value>[A-Za-z0-9+/_-]{16,})",
    re.IGNORECASE,
)
"""A value that its own name calls secret."""

_SHORTEST = 16
"""Letters and digits; what is shorter is too often something else."""
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


def _scan(path: str, content: bytes) -> Iterator[Suspect]:
    if PurePosixPath(path).name in _FILES:
        yield Suspect(path, 1, "a file made for secrets")
    # Keys are ASCII in whatever encoding of text; latin-1 reads every file.
    for number, line in enumerate(content.decode("latin-1").split("\n"), start=1):
        known = [kind for kind, pattern in _KNOWN.items() if pattern.search(line)]
        if any(_is_random(match[0]) for match in _SK.finditer(line)):
            known.append("an API key")
        for kind in known:
            yield Suspect(path, number, kind)
        if not known and _has_random_text(line):
            yield Suspect(path, number, "random text, as keys are", certain=False)


def _has_random_text(line: str) -> bool:
    line = _DIGEST.sub("", line)
    if any(_is_hex_key(match["value"]) for match in _NAMED.finditer(line)):
        return True
    return any(_is_random(match[0]) for match in _TEXT.finditer(line))


def _is_random(text: str) -> bool:
    """Whether letters and digits are mixed as no word, path or hexadecimal number has them."""
    return not _HEX.fullmatch(text) and any(map(_is_mixed, _PARTS.split(text)))


def _is_mixed(part: str) -> bool:
    classes = [_class(sign) for sign in part]
    if len(part) < _SHORTEST or len(set(classes)) < len(_CLASSES):
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
