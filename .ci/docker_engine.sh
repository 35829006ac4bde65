#!/usr/bin/env bash
# A Docker engine for the container tests, on Debian as root: `start` installs and starts one unless one
# answers already; `stop` ends it if `start` has started it.
set -euo pipefail

state=/run/holdfast-engine
socket=/var/run/docker.sock

answers() { curl --silent --max-time 2 --unix-socket "$socket" http://engine/_ping | grep --quiet OK; }

start() {
  if answers; then
    echo "engine: one answers already; it is left as it is"
    return
  fi
  # RUNLEVEL=1: nothing that is installed starts services of its own.
  if ! command -v dockerd > /dev/null || ! command -v iptables > /dev/null || ! command -v nginx > /dev/null; then
    apt-get update --quiet=2
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
      docker.io iptables nginx-light curl > /dev/null
  fi
  mkdir -p "$state"
  setsid dockerd > "$state/log" 2>&1 < /dev/null &
  echo $! > "$state/pid"
  for _ in $(seq 120); do
    if answers; then
      echo "engine: up"
      return
    fi
    if ! kill -0 "$(cat "$state/pid")" 2> /dev/null; then
      break
    fi
    sleep 0.25
  done
  echo "engine: did not come up; its log ends:" >&2
  tail -n 20 "$state/log" >&2
  stop
  exit 1
}

stop() {
  if [ ! -f "$state/pid" ]; then
    return
  fi
  local pid
  pid=$(cat "$state/pid")
  kill "$pid" 2> /dev/null || true
  for _ in $(seq 80); do
    if ! kill -0 "$pid" 2> /dev/null; then
      rm -rf "$state"
      echo "engine: ended"
      return
    fi
    sleep 0.25
  done
  kill -KILL "$pid" 2> /dev/null || true
  rm -rf "$state"
  echo "engine: killed, for it did not end"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  *)
    echo "usage: $0 start|stop" >&2
    exit 2
    ;;
esac
