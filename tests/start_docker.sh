#!/usr/bin/env bash
# Starts a Docker engine where none answers; installs Debian's where there is none.
#
#   tests/start_docker.sh PID_FILE
#
# PID_FILE receives the process id of the engine that was started, and is left alone when one
# answered already: `kill "$(cat PID_FILE)"` then ends what was started and nothing else.
set -euo pipefail

pid_file=${1:?usage: start_docker.sh PID_FILE}

fail() {
  echo "start_docker.sh: $*" >&2
  exit 1
}

answers() {
  docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

if answers; then
  exit 0
fi
if [ -n "${DOCKER_HOST:-}" ]; then
  fail "nothing answers at DOCKER_HOST=$DOCKER_HOST; an engine started here would not be found there."
fi
[ "$(id -u)" -eq 0 ] || fail "only root can install and start an engine; start one and try again."

missing=()
command -v dockerd >/dev/null || missing+=(docker.io)
command -v debootstrap >/dev/null || missing+=(debootstrap)
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

log=$(mktemp "${TMPDIR:-/tmp}/dockerd-XXXXXX.log")
# A session of its own: Ctrl-C in the caller's terminal must not end it before the containers.
setsid dockerd >"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$pid_file"

for _ in $(seq 120); do
  if answers; then
    echo "dockerd runs (pid $pid, log $log)."
    exit 0
  fi
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.5
done

tail -n 20 "$log" >&2
kill "$pid" 2>/dev/null || true
rm -f "$pid_file"
fail "dockerd did not answer within 60 s; its last lines are above, its whole log is $log."
