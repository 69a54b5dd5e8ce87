#!/usr/bin/env bash
# Installs Debian's Chromium, which the page is tested in, where there is none.
#
#   tests/install_chromium.sh
set -euo pipefail

if command -v chromium >/dev/null; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "install_chromium.sh: only root can install Chromium; install it and try again." >&2
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# The fonts are what text is measured and seen in.
apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
