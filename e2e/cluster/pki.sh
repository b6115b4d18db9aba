# shellcheck shell=bash
# Keys, certificates and kubeconfigs. One authority signs everything; it lives
# as long as the cluster.

certificate() { # name subject [subject alternative names]
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -batch \
        -subj "$2" -keyout "$PKI/$1.key" -out "$PKI/$1.csr" 2>/dev/null
    openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" \
        -set_serial "0x$(openssl rand -hex 16)" -days 3650 -out "$PKI/$1.crt" 2>/dev/null \
        -extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\n%s' "${3:+subjectAltName=$3}")
    rm "$PKI/$1.csr"
}

# Complete in itself, so that it works inside and outside the boxes alike.
kubeconfig_for() { # name file
    cat >"$2" <<EOF
apiVersion: v1
kind: Config
clusters:
  - name: cassandra-e2e
    cluster:
      server: https://$CONTROL_ADDRESS:6443
      certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
users:
  - name: $1
    user:
      client-certificate-data: $(base64 -w0 "$PKI/$1.crt")
      client-key-data: $(base64 -w0 "$PKI/$1.key")
contexts:
  - name: cassandra-e2e
    context: {cluster: cassandra-e2e, user: $1}
current-context: cassandra-e2e
EOF
}

# What the API server accepts as a user is the certificate's common name.
user() { # name common-name [organisation]
    certificate "$1" "${3:+/O=$3}/CN=$2"
    kubeconfig_for "$1" "$PKI/$1.kubeconfig"
}

make_pki() { # node...
    local node PKI=$STATE/pki
    (umask 077 && mkdir -p "$PKI")
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -batch \
        -subj /CN=cassandra-e2e -days 3650 -keyout "$PKI/ca.key" -out "$PKI/ca.crt" 2>/dev/null
    openssl genrsa -out "$PKI/service-account.key" 2048 2>/dev/null

    certificate kube-apiserver /CN=kube-apiserver "$(printf '%s' \
        "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc," \
        "DNS:kubernetes.default.svc.cluster.local,DNS:localhost," \
        "IP:$CONTROL_ADDRESS,IP:10.96.0.1,IP:127.0.0.1")"
    user admin admin system:masters
    user kube-controller-manager system:kube-controller-manager
    user kube-scheduler system:kube-scheduler
    user kube-proxy system:kube-proxy
    user coredns coredns
    user storage-provisioner storage-provisioner
    for node in "$@"; do
        user "$node" "system:node:$node" system:nodes
        certificate "$node-serving" "/CN=$node" "DNS:$node,IP:$(node_address "$node")"
    done
    install -m 600 "$PKI/admin.kubeconfig" "$KUBECONFIG_FILE"
}
