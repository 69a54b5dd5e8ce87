from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops.adapters.dockerfile import Dockerfile, read_dockerfile

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, text: str) -> Dockerfile:
    """Read a Dockerfile with this text."""
    path = folder / "Dockerfile"
    path.write_text(text)
    return read_dockerfile(path)


def test_base_images_are_neither_stages_nor_scratch_nor_variables(tmp_path: Path) -> None:
    """Only names that a registry could know count as base images, each once."""
    text = """
ARG BASE=debian
FROM --platform=linux/amd64 python:3.11-slim AS Builder
from python:3.11-slim
FROM scratch AS empty
FROM builder
FROM ${BASE}
FROM registry.example/team/base@sha256:0123
"""
    assert read(tmp_path, text).base_images == (
        "python:3.11-slim",
        "registry.example/team/base@sha256:0123",
    )


def test_arguments_of_all_stages_are_declared(tmp_path: Path) -> None:
    """A build argument is passed on when some ARG has its name, and only then."""
    dockerfile = read(
        tmp_path, 'ARG ONE\nFROM a\nARG TWO="x y" \\\n  # why\n  THREE=3\nRUN echo ARG FOUR\n'
    )
    given = {"ONE": "1", "THREE": "3", "FOUR": "4", "ENDPOINT": "5"}
    assert dockerfile.arguments == {"ONE", "TWO", "THREE"}
    assert dockerfile.declared(given) == {"ONE": "1", "THREE": "3"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ENV NAME=plain", "plain"),
        ('ENV NAME="two words"', "two words"),
        (r'ENV NAME="a \"quoted\" \$word \\ end"', r'a "quoted" $word \ end'),
        ("ENV OTHER=1 NAME=2", "2"),
        ("ENV NAME old form", "old form"),
        ("ENV NAME=a=b", "a=b"),
    ],
)
def test_environment_of_the_last_stage(tmp_path: Path, line: str, value: str) -> None:
    """ENV is read as the builder reads it, and a stage before the last has no say."""
    dockerfile = read(tmp_path, f"FROM a AS b\nENV NAME=first BEFORE=1\nFROM a\n{line}\n")
    assert dockerfile.environment["NAME"] == value
    assert "BEFORE" not in dockerfile.environment


def test_no_dockerfile_reads_as_an_empty_one(tmp_path: Path) -> None:
    """Whoever needs a Dockerfile says so in words of its own."""
    assert read_dockerfile(tmp_path / "Dockerfile") == Dockerfile()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("RUN --mount=type=secret,id=X,mode=0444,required=true cat /run/secrets/X", True),
        ("RUN --mount=type=cache,target=/c \\\n  --mount=id=X,type=secret cat /x", True),
        ("RUN --mount=type=cache,target=/secret true", False),
        ("RUN echo type=secret", False),
        ("# RUN --mount=type=secret,id=X true", False),
    ],
)
def test_secrets_that_a_build_wants(tmp_path: Path, line: str, *, expected: bool) -> None:
    """A RUN that mounts a secret is told from all others."""
    assert read(tmp_path, f"FROM a\n{line}\n").mounts_secrets == expected
