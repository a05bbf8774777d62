#!/bin/sh
# What the scoring RayJob runs on the head: score.sh FIRST LAST, dates like 2026-01-31.
# FIRST lies before LAST by as many days as files may come late; a date scored again is replaced.
set -eu
amad ingest
amad validate
amad score --from "$1" --to "$2" --cluster gpu-cluster
amad report
