#!/bin/sh
# What the scoring RayJob runs on the head: score.sh FIRST LAST FLEET..., dates like 2026-01-31.
# FIRST lies before LAST by as many days as files may come late; a date scored again is replaced.
# A fleet that fails does not stop the next; the code of the last that failed is returned.
set -eu
first=$1 last=$2
shift 2
: "${1:?name the fleets after the dates}"
code=0
for fleet in "$@"; do
  amad ingest --fleet "$fleet" &&
    amad validate --fleet "$fleet" &&
    amad score --fleet "$fleet" --from "$first" --to "$last" --cluster gpu-cluster || code=$?
  amad report --fleet "$fleet" || code=$? # in any case: what failed is on the page
done
exit $code
