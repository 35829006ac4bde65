#!/usr/bin/env bash
# Programs of others that a few tests use, and skip without: a pooler, Prometheus' linter, network namespaces.
set -euo pipefail

if command -v pgbouncer > /dev/null && command -v promtool > /dev/null && command -v ip > /dev/null; then
  echo "programs: all are here"
  exit
fi
apt-get update --quiet=2
# RUNLEVEL=1: nothing that is installed starts services of its own.
RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
  iproute2 pgbouncer prometheus > /dev/null
echo "programs: installed"
