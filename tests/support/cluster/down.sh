#!/usr/bin/env bash
# Ends what up.sh started: processes by their ids, containers, mounts, the bridge; also what a crash has left over.
# Usage: down.sh          stops the cluster; its objects, volumes and images stay, up.sh goes on with them
#        down.sh --wipe   and forgets its objects and volumes; images and keys stay
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Tells whether a process is one of this cluster: ids are reused after a crash or a restart of the machine.
is_ours() { { tr "\0" " " <"/proc/$1/cmdline"; } 2>/dev/null | grep -qE "^([^ ]*/)?$2( |\$)"; }

end() { # NAME PROGRAM: TERM, up to 10 s, KILL
  local id
  id=$(cat "$CLUSTER/pid/$1" 2>/dev/null) || return 0
  rm -f "$CLUSTER/pid/$1"
  is_ours "$id" "$2" || return 0
  kill "$id" 2>/dev/null
  for _ in $(seq 50); do is_ours "$id" "$2" || return 0; sleep 0.2; done
  kill -9 "$id" 2>/dev/null
}

end_containers() {
  local task
  [ -S "$CLUSTER/containerd/sock" ] && timeout 5 ctr --address "$CLUSTER/containerd/sock" version >/dev/null 2>&1 || return 0
  for task in $(node_ctr tasks ls -q 2>/dev/null); do node_ctr tasks kill -s SIGKILL "$task" 2>/dev/null; done
  for _ in $(seq 25); do
    [ -z "$(node_ctr tasks ls 2>/dev/null | awk '$3 == "RUNNING"')" ] && break
    sleep 0.2
  done
  for task in $(node_ctr tasks ls -q 2>/dev/null); do node_ctr tasks rm -f "$task" >/dev/null 2>&1; done
  for task in $(node_ctr containers ls -q 2>/dev/null); do node_ctr containers rm "$task" >/dev/null 2>&1; done
}

# What containerd left behind when it was killed: shims, which name its socket, and the processes below them.
end_shims() {
  local id child
  for id in $(grep -lazsF "$CLUSTER/containerd/sock" /proc/[0-9]*/cmdline | cut -d/ -f3); do
    is_ours "$id" 'containerd-shim[^ ]*' || continue
    for child in $(cat "/proc/$id/task"/*/children 2>/dev/null); do kill -9 "$child" 2>/dev/null; done
    kill -9 "$id" 2>/dev/null
  done
}

unmount() { awk -v here="$CLUSTER/" 'index($2, here) == 1 {print $2}' /proc/mounts | sort -r | xargs -r -n1 umount -l; }

remove_network() {
  local link
  [ -e "$CLUSTER/has-bridge" ] || return 0
  for link in $(ip -o link show master cni0 2>/dev/null | awk -F'[ @:]+' '{print $2}'); do ip link del "$link" 2>/dev/null; done
  ip link del cni0 2>/dev/null
  find /var/run/netns -name 'cni-*' -newer "$CLUSTER/has-bridge" 2>/dev/null | while read -r space; do
    umount -l "$space" 2>/dev/null; rm -f "$space"; done
  iptables-save 2>/dev/null | grep -vE 'KUBE-|CNI-' | iptables-restore 2>/dev/null
  rm -f "$CLUSTER/has-bridge" && rm -rf "$CLUSTER/cni/ipam"
}

[ -d "$CLUSTER" ] || exit 0
end coredns coredns; end kubelet kubelet; end proxy kube-proxy; end scheduler kube-scheduler
end controller kube-controller-manager; end apiserver kube-apiserver; end etcd etcd
end_containers
end containerd containerd
end_shims
unmount
remove_network
if [ "${1:-}" = --wipe ]; then
  find "$CLUSTER/volumes" -type d ! -perm -u+w -exec chmod u+w {} + 2>/dev/null
  rm -rf "$CLUSTER"/{etcd,kubelet,volumes,log,cni}
fi
true
