#!/bin/sh
# What cron, systemd and the scoring RayJob run every night: night.sh FLEET..., or to score dates again
# night.sh FIRST [LAST] FLEET... with one or two dates like 2026-01-31.
# Each command stands in the log with its time and its exit code. A command that takes longer than
# NIGHT_DEADLINE is stopped; what it has finished is kept. If a service does not answer (code 4), the
# command is tried again twice, NIGHT_PAUSE later. A fleet that fails stops no other. The page and the
# status are made in any case: what failed is on them. The first exit code that is not 0 is returned.
# Where NIGHT_DRIFT is set, amad drift runs after a fleet that was scored, and where NIGHT_EXPORT is an
# address of a database, amad export --to that address.
# NIGHT_SECRETS names a file of lines like AMAD_NOTIFY_WEBHOOK_KEY=...; see secrets.sh.
set -u
is_date() { case $1 in [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]) ;; *) false ;; esac; }
dates=
if is_date "${1:-}"; then
  first=$1 last=$1
  shift
  if is_date "${1:-}"; then last=$1; shift; fi
  dates="--from $first --to $last"
fi
refuse() { echo "$0: $1; it takes [FIRST [LAST]] FLEET..., with dates like 2026-01-31" >&2; exit 2; }
[ $# != 0 ] || refuse 'no fleet is named'
for fleet in "$@"; do
  ! is_date "$fleet" || refuse "$fleet is a date behind a fleet, or a third one"
done
code=0
. "$(dirname "$0")/secrets.sh"

run() {
  left=3
  while :; do
    echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) amad $* begins"
    timeout -k 60 "${NIGHT_DEADLINE:-4h}" amad "$@"
    ended=$?
    why=
    [ "$ended" != 124 ] || why=": NIGHT_DEADLINE, ${NIGHT_DEADLINE:-4h}, was over"
    echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) amad $* ends with code $ended$why"
    left=$((left - 1))
    if [ "$ended" != 4 ] || [ "$left" = 0 ]; then return "$ended"; fi
    sleep "${NIGHT_PAUSE:-600}"
  done
}

keep() { [ "$code" != 0 ] || code=$1; }

for fleet in "$@"; do
  # shellcheck disable=SC2086 # no dates are no words
  run ingest --fleet "$fleet" && run validate --fleet "$fleet" && run score --fleet "$fleet" $dates
  scored=$?
  keep "$scored"
  case $scored in 0 | 7 | 8 | 11)  # 8 is partly done, and 11 is done without a score
    if [ -n "${NIGHT_DRIFT:-}" ]; then run drift --fleet "$fleet"; keep $?; fi
    if [ -n "${NIGHT_EXPORT:-}" ]; then run export --to "$NIGHT_EXPORT" --fleet "$fleet"; keep $?; fi
    ;;
  esac
  run report --fleet "$fleet"
  keep $?
  run status --fleet "$fleet"
  keep $?
done
exit "$code"
