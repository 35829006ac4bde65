#!/usr/bin/env bash
# Runs scenarios where the machine may be too busy to judge: INCONCLUSIVE and INVALID (exit code 5) are right
# answers there, anything else but 0 is a failure.
#   .ci/judged.sh NAME COMMAND...
set -euo pipefail

what=$1 status=0
shift
"$@" || status=$?
case "$status" in
  0) echo "$what: every rule held" ;;
  5) echo "$what: this machine was too busy to judge" ;;
  *)
    echo "$what: failed with exit code $status"
    exit "$status"
    ;;
esac
