#!/bin/sh
# What the official image's entry point does, as far as a test needs it: make the data folder at the
# first start, with the user, password and database of the environment, then become the server.
set -eu
if [ "${1:-postgres}" != postgres ]; then
  exec "$@"
fi
user="${POSTGRES_USER:-postgres}"
database="${POSTGRES_DB:-$user}"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}"
  rm -rf "$PGDATA.new"
  mkdir -p "$PGDATA.new"
  chmod 700 "$PGDATA.new"
  password=/tmp/password
  (umask 077; printf '%s\n' "$POSTGRES_PASSWORD" > "$password")
  # shellcheck disable=SC2086 # several arguments, as with the official image
  initdb -D "$PGDATA.new" -U "$user" --pwfile="$password" --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-instructions ${POSTGRES_INITDB_ARGS:-}
  rm "$password"
  printf 'host all all all scram-sha-256\n' >> "$PGDATA.new/pg_hba.conf"
  if [ "$database" != postgres ]; then
    printf 'CREATE DATABASE "%s"\n' "$database" | postgres --single -F -D "$PGDATA.new" postgres > /dev/null
  fi
  # Complete or not there: a container that is killed meanwhile begins anew.
  rm -rf "$PGDATA"
  mv "$PGDATA.new" "$PGDATA"
fi
exec "$@"
