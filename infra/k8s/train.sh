#!/bin/sh
# What the training RayJob runs on the head: everything from raw data to a judged model.
# KubeRay runs only the first command of an entrypoint in the cluster, hence a script.
set -eu
amad ingest
amad validate
amad prepare
amad tune --cluster gpu-cluster
amad train --cluster gpu-cluster
amad evaluate
amad register
