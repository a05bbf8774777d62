#!/bin/sh
# What cron runs every minute where alerts are to leave within minutes: minute.sh FLEET...
# It scores what has come in of the day that is not over. A fleet that fails stops no other, and the
# first exit code that is not 0 is returned. NIGHT_SECRETS: see secrets.sh.
set -u
: "${1:?name the fleets}"
code=0
. "$(dirname "$0")/secrets.sh"
for fleet in "$@"; do
  amad ingest --fleet "$fleet" && amad score --fleet "$fleet"
  ended=$?
  [ "$code" != 0 ] || code=$ended
done
exit "$code"
