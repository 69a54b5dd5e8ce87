from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from space_app.cpu_features import Cpu, describe_cpu

if TYPE_CHECKING:
    from pathlib import Path

NEW = "avx2 avx_vnni avx512f avx512_vnni avx512_bf16 amx_int8 amx_bf16"
OLD = "fpu sse4_2 avx2"


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Path:
    """A machine of two new CPUs."""
    path = tmp_path / "cpuinfo"
    path.write_text(f"model name\t: Some CPU @ 2 GHz\nflags\t\t: fpu {NEW}\n\nflags\t: fpu\n")
    return path


def test_what_it_has_is_named(cpuinfo: Path) -> None:
    """Name, what matters of its flags, and the best of them for int8 and bf16."""
    found = describe_cpu(cpuinfo)

    assert found == Cpu("Some CPU @ 2 GHz", tuple(NEW.split()), "amx_int8", "amx_bf16")


def test_a_limit_counts(cpuinfo: Path) -> None:
    """A CPU that oneDNN is told not to use all of is described as what is left of it."""
    found = describe_cpu(cpuinfo, limit="avx512_core_vnni")

    assert (found.int8, found.bf16) == ("avx512_vnni", "plain")
    assert describe_cpu(cpuinfo, limit="AVX2").int8 == "avx2"


def test_an_old_cpu(cpuinfo: Path) -> None:
    """Without VNNI it is said so."""
    cpuinfo.write_text(f"flags : {OLD}\n")

    assert describe_cpu(cpuinfo) == Cpu("unknown", ("avx2",), "avx2", "plain")


def test_no_cpuinfo(tmp_path: Path) -> None:
    """A system without that file has a CPU all the same."""
    assert describe_cpu(tmp_path / "none") == Cpu("unknown", (), "plain", "plain")
