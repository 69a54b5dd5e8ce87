#!/usr/bin/env bash
# Makes the base image python:3.11-slim available: pulled, or else a stand-in made from Debian 12,
# whose python3 is 3.11 too. Does nothing when the engine has an image of that name.
#
#   tests/python_slim_image.sh        (docker rmi python:3.11-slim first, to make it anew)
#
# The stand-in installs packages as this machine does: it carries the CA bundle and pip's
# configuration, with the local folders that it names. Of those, only the files that the Space's
# requirements pin are taken. The configuration may hold an index's password: do not push the image.
set -euo pipefail

image=python:3.11-slim
suite=bookworm
project=$(cd "$(dirname "$0")/.." && pwd)

if docker image inspect "$image" >/dev/null 2>&1; then
  exit 0
fi
if timeout 120 docker pull --quiet "$image" >/dev/null 2>&1; then
  echo "$image was pulled."
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
  echo "python_slim_image.sh: $image cannot be pulled; making a stand-in takes root and debootstrap" \
    "(apt-get install debootstrap)." >&2
  exit 1
fi

work=$(mktemp -d "${TMPDIR:-/var/tmp}/python-slim-XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

# The mirror that apt uses here, where it serves this suite; else debootstrap's own choice.
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)' \
  'Created-By: Packages' 2>/dev/null | awk -F'|' -v suite="$suite" \
  '$1 == "Debian" && $2 == suite && $3 == "main" { print $4; exit }')

echo "$image cannot be pulled: making a stand-in with debootstrap."
if ! debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates \
  "$suite" "$root" ${mirror:+"$mirror"} >"$work/log" 2>&1; then
  tail -n 20 "$work/log" >&2
  echo "python_slim_image.sh: debootstrap failed; its last lines are above." >&2
  exit 1
fi
ln -s /usr/bin/python3 "$root/usr/local/bin/python"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
if [ -f "$bundle" ]; then
  cp -L "$bundle" "$root/etc/ssl/certs/ca-certificates.crt"
fi
"${PYTHON:-python3}" "$project/tests/pip_configuration.py" \
  "$root" "$project"/templates/requirements*.txt.j2

tar -C "$root" -c . | docker import \
  --change 'CMD ["python3"]' \
  --change 'ENV LANG=C.UTF-8' \
  --change 'LABEL embedding-space.stand-in=1' \
  - "$image" >/dev/null
echo "$image: $(docker image inspect --format '{{.Size}}' "$image" | awk '{ printf "%.0f MB", $1 / 1e6 }')."
