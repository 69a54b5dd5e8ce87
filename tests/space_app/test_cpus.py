from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from space_app.cpus import available_cpus

if TYPE_CHECKING:
    from pathlib import Path

ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("cpu_max", "expected"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("199999 100000", 1),
        (f"{ALLOWED}00000 100000", ALLOWED),
        (f"{ALLOWED + 5}00000 100000", ALLOWED),
        ("max 100000", ALLOWED),
    ],
)
def test_cgroup_v2(tmp_path: Path, cpu_max: str, expected: int) -> None:
    """The quota counts in whole CPUs, at least one, at most those that may be used."""
    (tmp_path / "cpu.max").write_text(cpu_max + "\n")

    assert available_cpus(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("100000", 1), ("-1", ALLOWED)])
def test_cgroup_v1(tmp_path: Path, quota: str, expected: int) -> None:
    """The older layout is read too; -1 is no quota."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")

    assert available_cpus(tmp_path) == expected


def test_no_cgroup(tmp_path: Path) -> None:
    """Without a quota it is what the scheduler allows."""
    assert available_cpus(tmp_path) == ALLOWED
