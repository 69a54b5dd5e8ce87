from __future__ import annotations

import pytest

from ops.hub.errors import git_failed


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("fatal: unable to write loose object file: No space left on device", 507),
        ("error: unable to write symref for HEAD: Disk quota exceeded", 507),
        ("fatal: sha1 file 'tmp_pack_x' write error. Out of diskspace", 507),
        ("fatal: bad object HEAD", 500),
    ],
)
def test_a_full_disk_is_told_from_other_failures_of_git(said: str, status: int) -> None:
    """By the words of the system, and by git's own for a pack, as a full disk made them say."""
    assert git_failed("fast-import", said).status == status
