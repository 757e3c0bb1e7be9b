#!/usr/bin/env bash
# Runs tests on the cluster of KUBECONFIG, else on the one of up.sh; the six volumes lie in directories of this machine.
# Usage: pytest.sh ARGUMENTS OF PYTEST
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export KUBECONFIG=${KUBECONFIG:-$CLUSTER/kubeconfig} PATH=$PROGRAMS:$PATH
export CLUSTER_VOLUMES=${CLUSTER_VOLUMES:-$CLUSTER/volumes} CLUSTER_DATA=$CONTIMG_CACHE/simulated
unset "${!CONTIMG_@}"  # contimg refuses variables that it does not know
cd "$ROOT"
exec .venv/bin/python -m pytest "$@"
