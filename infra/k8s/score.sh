#!/bin/sh
# What the scoring RayJob runs on the head: score.sh FLEET..., or score.sh FIRST LAST FLEET... with two
# dates like 2026-01-31. Without dates, every date is scored that is in the lake and has no scores, or
# whose rows have changed, so a night that was missed is made up; a date scored again is replaced.
# A fleet that fails does not stop the next; the code of the last that failed is returned.
set -eu
dates=
case ${1:-} in
  [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9])
    dates="--from $1 --to $2"
    shift 2
    ;;
esac
: "${1:?name the fleets}"
code=0
for fleet in "$@"; do
  # shellcheck disable=SC2086 # no dates are no words
  amad ingest --fleet "$fleet" &&
    amad validate --fleet "$fleet" &&
    amad score --fleet "$fleet" $dates || code=$?
  amad report --fleet "$fleet" || code=$? # in any case: what failed is on the page
done
exit $code
