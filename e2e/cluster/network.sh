# shellcheck shell=bash
# The cluster's network: one bridge, inside the control box, to which the host
# and all nodes are plugged. The host gets a single device and its routes,
# which vanish with the box; its firewall and forwarding stay as they are.
#
#   host 10.250.0.1 --+
#   node1      .11 ---+-- br0 of the control box, 10.250.0.2
#   node2      .12 ---+
#
# Pods of node N have 10.244.N.0/24, services 10.96.0.0/16.

HOST_DEVICE=cassandra-e2e
HOST_ADDRESS=10.250.0.1
CONTROL_ADDRESS=10.250.0.2
SERVICES=10.96.0.0/16

node_address() { echo "10.250.0.1${1#node}"; } # node
node_pods() { echo "10.244.${1#node}.0/24"; }  # node

# A command in the network of a box, with the host's files.
on_network_of() { nsenter --net="/proc/$(box_pid "$1")/ns/net" -- "${@:2}"; } # box command...

# What everyone but NODE itself has to know: where pods are, and that any node
# can lead to a service.
add_routes() { # device-owner node...
    local run=(on_network_of "$1") node
    [ "$1" = host ] && run=()
    for node in "${@:2}"; do
        [ "$1" = "$node" ] || "${run[@]}" ip route add "$(node_pods "$node")" via "$(node_address "$node")"
    done
    case $1 in
        # kube-proxy rewrites a node's own connections, but needs a route to begin with.
        node*) "${run[@]}" ip route add "$SERVICES" dev eth0 ;;
        *) "${run[@]}" ip route add "$SERVICES" via "$(node_address "$2")" ;;
    esac
}

plug_in() { # node
    ip link add "$1" netns "$(box_pid control)" type veth peer name eth0 netns "$(box_pid "$1")"
    on_network_of control ip link set "$1" master br0 up
    on_network_of "$1" ip address add "$(node_address "$1")/24" dev eth0
    on_network_of "$1" ip link set eth0 up
    on_network_of "$1" sysctl -qw net.ipv4.ip_forward=1
}

connect() { # node...
    local box
    for box in control "$@"; do
        on_network_of "$box" ip link set lo up
    done
    on_network_of control ip link add br0 type bridge
    on_network_of control ip address add "$CONTROL_ADDRESS/24" dev br0
    on_network_of control ip link set br0 up
    ip link add "$HOST_DEVICE" type veth peer name host netns "$(box_pid control)"
    on_network_of control ip link set host master br0 up
    ip address add "$HOST_ADDRESS/24" dev "$HOST_DEVICE"
    ip link set "$HOST_DEVICE" up
    for box in "$@"; do
        plug_in "$box"
    done
    for box in host control "$@"; do
        add_routes "$box" "$@"
    done
    for box in control "$@"; do
        touch "$STATE/$box/connected"
    done
}

disconnect() {
    ip link show "$HOST_DEVICE" &>/dev/null && ip link delete "$HOST_DEVICE"
    return 0
}
