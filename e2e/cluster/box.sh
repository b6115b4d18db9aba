#!/usr/bin/env bash
# Process 1 of a box: started by boxes.sh in namespaces of its own. It gives the
# box its own /run and /var, so that components keep their default paths and
# leave nothing on the host, and keeps the components running.
set -euo pipefail

state=$1 binaries=$2 box=$3 address=$4 pods=$5 tools=("${@:6}")
own=$state/$box

hostname "$box"
mkdir -p "$own"/run "$own"/var/{lib,log,tmp,volumes}
ln -sfn /run "$own/var/run"
mount -n -t tmpfs -o mode=755 tmpfs "$own/run"
mkdir "$own"/run/{cluster,bin,cni,lock}
mount -n --bind "$state" "$own/run/cluster"
mount -n --bind "$binaries" "$own/run/bin"
mount -n --move "$own/run" /run
mount -n --bind "/run/cluster/$box/var" /var
mount -n --make-rshared / # within the box: volumes must reach the containers
cd /
PATH=$(printf '/run/bin/%s:' "${tools[@]}")/usr/sbin:/usr/bin:/sbin:/bin
export PATH

until [ -e "/run/cluster/$box/connected" ]; do sleep 0.05; done

pki=/run/cluster/pki
config=/run/cluster/config

# Starts it again whenever it ends, so that nothing depends on the order.
keep_running() { # name command...
    local name=$1
    shift
    while :; do
        "$@" || echo "$name ended with $?"
        sleep 1
    done >>"/run/cluster/logs/$box-$name.log" 2>&1 </dev/null &
}

# The same, once "up" has seen the API server answer and has given out the
# permissions: who asks earlier is refused, and tries again ever more slowly.
keep_running_on_api() { # name command...
    # shellcheck disable=SC2016 # for the inner shell
    keep_running "$1" bash -c 'until [ -e /run/cluster/api-answers ]; do sleep 0.1; done; exec "$@"' -- "${@:2}"
}

control() {
    keep_running etcd etcd --name control --data-dir /var/lib/etcd --unsafe-no-fsync \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380 --log-level warn
    keep_running kube-apiserver kube-apiserver \
        --advertise-address "$address" --etcd-servers http://127.0.0.1:2379 \
        --service-cluster-ip-range 10.96.0.0/16 --allow-privileged --profiling=false \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
        --client-ca-file $pki/ca.crt \
        --tls-cert-file $pki/kube-apiserver.crt --tls-private-key-file $pki/kube-apiserver.key \
        --kubelet-client-certificate $pki/kube-apiserver.crt --kubelet-client-key $pki/kube-apiserver.key \
        --kubelet-certificate-authority $pki/ca.crt --kubelet-preferred-address-types InternalIP \
        --service-account-issuer https://kubernetes.default.svc.cluster.local \
        --service-account-key-file $pki/service-account.key \
        --service-account-signing-key-file $pki/service-account.key \
        --audit-policy-file $config/audit-policy.yaml --audit-log-path /run/cluster/audit.log \
        --audit-log-maxsize 4096
    keep_running_on_api kube-controller-manager kube-controller-manager \
        --kubeconfig $pki/kube-controller-manager.kubeconfig --leader-elect=false \
        --use-service-account-credentials --service-account-private-key-file $pki/service-account.key \
        --root-ca-file $pki/ca.crt --kube-api-qps 200 --kube-api-burst 400 --profiling=false
    keep_running_on_api kube-scheduler kube-scheduler --kubeconfig $pki/kube-scheduler.kubeconfig \
        --leader-elect=false --profiling=false
    keep_running_on_api coredns coredns -conf $config/Corefile
    keep_running_on_api storage storage --kubeconfig $pki/storage-provisioner.kubeconfig --root /run/cluster
}

node() {
    sed "s|PODS|$pods|" $config/cni.conflist >/run/cni/10-pods.conflist
    keep_running containerd containerd --config $config/containerd.toml
    keep_running kubelet kubelet --config $config/kubelet.yaml \
        --kubeconfig "$pki/$box.kubeconfig" --hostname-override "$box" --node-ip "$address" \
        --tls-cert-file "$pki/$box-serving.crt" --tls-private-key-file "$pki/$box-serving.key" \
        --cgroup-root "/cassandra-e2e/$box" --node-labels "topology.kubernetes.io/zone=zone-${box#node}"
    keep_running_on_api kube-proxy kube-proxy --kubeconfig $pki/kube-proxy.kubeconfig \
        --hostname-override "$box" --proxy-mode nftables --cluster-cidr 10.244.0.0/16 \
        --conntrack-max-per-core 0
}

case $box in
    control) control ;;
    *) node ;;
esac
wait
