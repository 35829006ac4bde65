#!/usr/bin/env bash
# Programs of others that a few tests use, and skip without: a pooler, Prometheus' linter, network namespaces,
# servers that speak TLS, reverse proxies, and what signs statements.
set -euo pipefail

missing=0
for program in pgbouncer promtool ip openssl ssh-keygen redis-server nginx haproxy /usr/lib/postgresql/15/bin/postgres; do
  PATH="$PATH:/usr/sbin" command -v "$program" > /dev/null || missing=1
done
if [ "$missing" = 0 ]; then
  echo "programs: all are here"
  exit
fi
apt-get update --quiet=2
# RUNLEVEL=1: nothing that is installed starts services of its own.
RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
  iproute2 pgbouncer prometheus openssl openssh-client redis-server nginx haproxy postgresql-15 > /dev/null
echo "programs: installed"
