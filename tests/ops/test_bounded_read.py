from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import running_ops

from ops.bounded_read import MOST, TooLarge, read_file

KEYS = 'EMBED_API_KEYS = { file = "/dev/zero" }'
SPACE_TOML = '[space]\nrepo_id = "me/app"\n[model]\nid = "org/model"\n'


def test_up_to_the_limit(tmp_path: Path) -> None:
    """A file of exactly the limit is whole, one of a byte more is refused."""
    path = tmp_path / "file"
    path.write_bytes(bytes(MOST))
    assert read_file(path) == bytes(MOST)
    path.write_bytes(bytes(MOST + 1))
    with pytest.raises(TooLarge, match="larger than 1024 KiB"):
        read_file(path)


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("settings", "secrets", "import", "/dev/zero", "--no-wait"), None),
        (("settings", "secrets", "import", "-", "--no-wait"), "/dev/zero"),
        (("settings", "secrets", "set", "A", "--from-file", "/dev/zero", "--no-wait"), None),
        (("settings", "variables", "set", "A", "--stdin", "--no-wait"), "/dev/zero"),
        (("--config", "/dev/zero", "config", "validate"), None),
        (("--config", "endless.toml", "plan"), None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_file_without_an_end(
    tmp_path: Path, arguments: tuple[str, ...], stdin: str | None
) -> None:
    """Whichever way it is named: that is said, within a memory of a few hundred megabytes."""
    (tmp_path / "space.toml").write_text(SPACE_TOML)
    (tmp_path / "endless.toml").symlink_to("/dev/zero")
    with Path(stdin or "/dev/null").open("rb") as given:
        done = subprocess.run(
            ["sh", "-c", 'ulimit -v 2000000; exec "$@"', "sh", *running_ops.command(*arguments)],
            cwd=tmp_path,
            env=running_ops.environment(
                tmp_path, HF_ENDPOINT="http://127.0.0.1:1", HF_TOKEN="hf_x"
            ),
            stdin=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert "larger than 1024 KiB" in done.stderr
