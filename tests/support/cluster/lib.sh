# Where the programs, images and the state of the test cluster are kept, and what its scripts share.
# The cache is worth keeping: programs (0.8 GB, 12 min to build), base system, images.

CONTIMG_CACHE=${CONTIMG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/contimg}
PROGRAMS=${CONTIMG_KUBE:-$CONTIMG_CACHE/kube}
CLUSTER=${CONTIMG_CLUSTER:-$CONTIMG_CACHE/cluster}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../../.." && pwd)

say() { echo "run: $*" >&2; }
die() { say "$*"; exit 1; }

# Looks every half second until a command succeeds: wait_for SECONDS COMMAND ...
wait_for() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { say "timeout waiting for: $*"; return 1; }
    sleep 0.5
  done
}

# The command of containerd for the images and containers of the node.
node_ctr() { ctr --address "$CLUSTER/containerd/sock" -n k8s.io "$@"; }
