"""The environment of a child process: what any program needs of ours, and none of its secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANY = (
    "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "PATH",
    "TMPDIR", "TZ", "USER",
)  # fmt: skip
_NETWORK = (
    "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE",
    "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "all_proxy", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
_DOCKER = (
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
)
_DESKTOP = (
    "BROWSER", "DBUS_SESSION_BUS_ADDRESS", "DESKTOP_SESSION", "DISPLAY", "KDE_FULL_SESSION",
    "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "XDG_CURRENT_DESKTOP",
    "XDG_DATA_DIRS", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE",
)  # fmt: skip


def child_environment(
    *, network: bool = False, docker: bool = False, desktop: bool = False
) -> dict[str, str]:
    """The variables that a child gets; more of them for one that uses the network, and so on."""
    names = [*_ANY]
    for wanted, more in ((network, _NETWORK), (docker, _DOCKER), (desktop, _DESKTOP)):
        names += more if wanted else ()
    return {name: os.environ[name] for name in names if name in os.environ}


def alone(environment: Mapping[str, str]) -> list[str]:
    """The words before a command that is to get these variables alone.

    For GitPython, which adds to this process's variables and takes none away.
    """
    return ["env", *(word for name in os.environ.keys() - environment for word in ("-u", name))]
