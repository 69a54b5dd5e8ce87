"""Hubs to be killed, one after the other: each a process of its own, started in no time.

A line on standard input starts one on the data folder of the first argument, with builds kept in
that of the second; its process and its endpoint are told as JSON. All imports are done before, and
each Hub is a fork, so that fifty of them start within seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from hub_world import WRITE

from ops.adapters.process import ProcessRunner
from ops.hub import LocalHub, User


def serve(data: Path, cache: Path) -> None:
    """Be a Hub until killed."""
    users = [User("me", {WRITE: "write"})]
    with LocalHub(data, ProcessRunner(cache), users=users) as hub:
        sys.stdout.write(json.dumps({"pid": os.getpid(), "endpoint": hub.endpoint}) + "\n")
        sys.stdout.flush()
        while True:
            signal.pause()  # also a child's end ends it


def main() -> None:
    """Fork at each line."""
    data, cache = map(Path, sys.argv[1:])
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            serve(data, cache)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            sys.exit("The Hub has ended by itself.")


if __name__ == "__main__":
    main()
