#!/usr/bin/env bash
# A one-node Kubernetes from plain programs: etcd, API server, controller manager, scheduler, kubelet, kube-proxy, bridge
# network, CoreDNS on the node; containerd and runc are Debian's. Needs root; what an earlier run left over is ended first.
# Usage: up.sh   -> the cluster's kubeconfig stands in $CLUSTER/kubeconfig; Ready after 7 s on 2 cores (the first time 25 s)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

IP=10.88.0.1 SERVICES=10.96.0.0/16 PODS=10.88.0.0/16 NODE=contimg-node
USERS=(admin controller scheduler proxy kubelet)

run() { # NAME COMMAND ...: a process of its own session, so that an interrupted test does not end the cluster
  local name=$1; shift
  setsid "$@" >>"log/$name.log" 2>&1 9>&- &
  echo $! >"pid/$name"
}

sign() { # NAME SUBJECT NAMES
  openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "pki/$1.key" -out "pki/$1.csr" 2>/dev/null
  openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 365 -out "pki/$1.crt" \
    -extfile <(printf 'subjectAltName=%s' "$3") 2>/dev/null
}

make_keys() {
  openssl x509 -in pki/ca.crt -noout -checkend 86400 >/dev/null 2>&1 && [ -f pki/done ] && return
  openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=contimg-test -keyout pki/ca.key -out pki/ca.crt 2>/dev/null
  openssl genrsa -out pki/sa.key 2048 2>/dev/null
  openssl rsa -in pki/sa.key -pubout -out pki/sa.pub 2>/dev/null
  local names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:$IP
  sign apiserver /CN=kube-apiserver $names
  sign admin /O=system:masters/CN=admin DNS:admin
  sign kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client DNS:client
  sign controller /CN=system:kube-controller-manager DNS:client
  sign scheduler /CN=system:kube-scheduler DNS:client
  sign proxy /CN=system:kube-proxy DNS:client
  sign kubelet "/O=system:nodes/CN=system:node:$NODE" DNS:$NODE,IP:$IP,IP:127.0.0.1
  touch pki/done
}

write_kubeconfig() { # USER
  cat >"$1.kubeconfig" <<TEXT
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 pki/ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "pki/$1.crt"), client-key-data: $(base64 -w0 "pki/$1.key")}}]
contexts: [{name: contimg-test, context: {cluster: test, user: $1}}]
current-context: contimg-test
TEXT
}

# Whoever reads these may do everything on the cluster, and so become root here: nobody else may.
make_access() {
  local user
  make_keys
  rm -f ./*kubeconfig  # one that is there keeps its mode
  for user in "${USERS[@]}"; do write_kubeconfig "$user"; done
  cp admin.kubeconfig kubeconfig
}

make_network() {
  ip link show cni0 >/dev/null 2>&1 && die "a bridge cni0 that is not ours exists; remove it: ip link del cni0"
  touch has-bridge
  ip link add cni0 type bridge && ip addr add $IP/16 dev cni0 && ip link set cni0 up
  sysctl -qw net.ipv4.ip_forward=1
  sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true  # the module is absent on some kernels, and not needed there
  cat >cni/10-bridge.conflist <<TEXT
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS", "rangeStart": "10.88.0.10"}]],
           "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$CLUSTER/cni/ipam"}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
TEXT
}

# restrict_oom_score_adj: without CAP_SYS_RESOURCE every container would die at "can't get final child's PID".
start_containerd() {
  cat >containerd/config.toml <<TEXT
version = 2
root = "$CLUSTER/containerd/root"
state = "$CLUSTER/containerd/state"
[grpc]
address = "$CLUSTER/containerd/sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$CLUSTER/cni"
TEXT
  rm -f containerd/sock
  run containerd containerd -c containerd/config.toml
  wait_for 60 node_ctr version
}

load_pause_image() {
  node_ctr images ls -q | grep -qx localhost/pause:1 && return
  local dir
  dir=$(mktemp -d)
  cp /bin/busybox "$dir/"
  printf 'FROM scratch\nADD busybox /bin/busybox\nUSER 65534:65534\nENTRYPOINT ["/bin/busybox", "sleep", "2147483647"]\n' >"$dir/Dockerfile"
  buildah bud -q --isolation chroot -t localhost/pause:1 "$dir" >/dev/null
  buildah push -q localhost/pause:1 "oci-archive:$dir/pause.tar:localhost/pause:1"
  node_ctr images import "$dir/pause.tar" >/dev/null
  rm -rf "$dir"
}

start_control_plane() {
  run etcd "$PROGRAMS/etcd" --data-dir etcd --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync
  run apiserver "$PROGRAMS/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --advertise-address=$IP \
    --service-cluster-ip-range=$SERVICES --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key \
    --client-ca-file=pki/ca.crt --authorization-mode=Node,RBAC --allow-privileged=true \
    --service-account-key-file=pki/sa.pub --service-account-signing-key-file=pki/sa.key \
    --service-account-issuer=https://kubernetes.default.svc --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate=pki/kubelet-client.crt --kubelet-client-key=pki/kubelet-client.key
  wait_for 60 "$PROGRAMS/kubectl" --kubeconfig=kubeconfig get --raw /readyz
  run controller "$PROGRAMS/kube-controller-manager" --kubeconfig=controller.kubeconfig --leader-elect=false \
    --service-account-private-key-file=pki/sa.key --root-ca-file=pki/ca.crt --use-service-account-credentials \
    --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key
  run scheduler "$PROGRAMS/kube-scheduler" --kubeconfig=scheduler.kubeconfig --leader-elect=false
}

start_node() {
  cat >kubelet.yaml <<TEXT
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {x509: {clientCAFile: $CLUSTER/pki/ca.crt}, webhook: {enabled: true}, anonymous: {enabled: false}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
clusterDNS: [$IP]
clusterDomain: cluster.local
failSwapOn: false
failCgroupV1: false
resolvConf: /etc/resolv.conf
tlsCertFile: $CLUSTER/pki/kubelet.crt
tlsPrivateKeyFile: $CLUSTER/pki/kubelet.key
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix://$CLUSTER/containerd/sock
evictionHard: {nodefs.available: "1%", imagefs.available: "1%", memory.available: "100Mi"}
imageGCHighThresholdPercent: 100
maxPods: 60
TEXT
  run kubelet "$PROGRAMS/kubelet" --config=kubelet.yaml --kubeconfig=kubelet.kubeconfig --hostname-override=$NODE \
    --node-ip=$IP --root-dir="$CLUSTER/kubelet"
  run proxy "$PROGRAMS/kube-proxy" --kubeconfig=proxy.kubeconfig --hostname-override=$NODE --cluster-cidr=$PODS \
    --proxy-mode=iptables --conntrack-max-per-core=0
  printf '.:53 {\n  bind %s\n  errors\n  kubernetes cluster.local in-addr.arpa {\n    kubeconfig %s contimg-test\n  }\n  cache 5\n}\n' \
    $IP "$CLUSTER/admin.kubeconfig" >Corefile
  run coredns "$PROGRAMS/coredns" -conf Corefile
}

node_is_ready() { "$PROGRAMS/kubectl" --kubeconfig=kubeconfig get node $NODE | grep -q ' Ready'; }

[ "$(id -u)" -eq 0 ] || die "the cluster's node needs root"
"$HERE/down.sh"
mkdir -p "$CLUSTER"/{pki,log,etcd,containerd,pid,cni,volumes}
cd "$CLUSTER"
(umask 077; make_access)
[ -z "${SUDO_UID:-}" ] || chown "$SUDO_UID" kubeconfig  # of whoever asked for the cluster
make_network
start_containerd
load_pause_image
start_control_plane
start_node
wait_for 60 node_is_ready
say "cluster is up after $SECONDS s; export KUBECONFIG=$CLUSTER/kubeconfig PATH=$PROGRAMS:\$PATH"
