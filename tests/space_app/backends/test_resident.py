from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from space_app.backends.resident import release

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1 << 22


def resident_bytes(path: Path) -> int:
    """How much of a file's mapping is in memory."""
    with open("/proc/self/smaps", encoding="utf-8") as smaps:  # noqa: PTH123 -- no regular file
        own = False
        for line in smaps:
            if "-" in line.split()[0]:
                own = line.rstrip().endswith(str(path))
            elif own and line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    return 0


def test_a_files_pages_are_given_back_and_read_again(tmp_path: Path) -> None:
    """Memory shrinks by what was read, and the same bytes are there when they are asked for."""
    path, other = tmp_path / "weights", tmp_path / "other"
    for each in (path, other):
        each.write_bytes(b"\x07" * SIZE)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 7 * SIZE // mmap.PAGESIZE
        before = resident_bytes(path)

        assert release(other) == 0
        assert resident_bytes(path) == before
        assert release(path) == SIZE

        assert before == SIZE
        assert resident_bytes(path) == 0
        assert mapped[SIZE - 1] == 7


def test_what_may_have_been_written_stays(tmp_path: Path) -> None:
    """A private mapping that can be written to keeps what was written."""
    path = tmp_path / "weights"
    path.write_bytes(b"\x07" * SIZE)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[0] = 9

        assert release(path) == 0
        assert mapped[0] == 9


def test_a_system_without_maps(tmp_path: Path) -> None:
    """Where nobody says what is mapped, nothing is given back."""
    assert release(tmp_path, maps=tmp_path / "none") == 0
