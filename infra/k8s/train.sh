#!/bin/sh
# What the training RayJob runs on the head, for one fleet: everything from raw data to a judged
# model. KubeRay runs only the first command of an entrypoint in the cluster, hence a script.
# AMAD_CLUSTER, which the pods have, names the profile.
set -eu
fleet=$1
amad ingest --fleet "$fleet"
amad validate --fleet "$fleet"
amad prepare --fleet "$fleet"
amad tune --fleet "$fleet"
amad train --fleet "$fleet"
amad evaluate --fleet "$fleet"
amad register --fleet "$fleet"
