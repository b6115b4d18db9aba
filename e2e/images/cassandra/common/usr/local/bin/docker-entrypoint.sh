#!/bin/bash
# Prepares the configuration from the CASSANDRA_* variables, for the command "cassandra" only; then runs the command.
set -euo pipefail

if [ "${1:-}" != cassandra ]; then
  exec "$@"
fi

if [ "$(id -u)" = 0 ]; then
  chown -R cassandra: "$CASSANDRA_CONF" /var/lib/cassandra /var/log/cassandra
  exec setpriv --reuid cassandra --regid cassandra --init-groups "$0" "$@"
fi

# The folder may be on a file system where only whole files can be rewritten, so no "sed -i", which renames.
rewrite() { # rewrite FILE SED-SCRIPT
  local text
  text=$(sed -E "$2" "$1")
  printf '%s\n' "$text" >"$1"
}

set_key() { # set_key FILE KEY SEPARATOR VALUE: replaces the line of the key, or adds one
  local value
  [ -n "$4" ] || return 0
  value=$(printf '%s' "$4" | sed 's/[&|\]/\\&/g')
  if grep -qE "^$2 *$3" "$1"; then
    rewrite "$1" "s|^$2 *$3.*|$2$3$value|"
  else
    printf '%s%s%s\n' "$2" "$3" "$4" >>"$1"
  fi
}

listen=${CASSANDRA_LISTEN_ADDRESS:-auto}
if [ "$listen" = auto ]; then
  listen=$(hostname -I | cut -d ' ' -f 1)
  listen=${listen:-127.0.0.1}
fi
broadcast=${CASSANDRA_BROADCAST_ADDRESS:-$listen}
[ "$broadcast" != auto ] || broadcast=$listen

yaml=$CASSANDRA_CONF/cassandra.yaml
set_key "$yaml" cluster_name ': ' "${CASSANDRA_CLUSTER_NAME:-}"
set_key "$yaml" num_tokens ': ' "${CASSANDRA_NUM_TOKENS:-}"
set_key "$yaml" endpoint_snitch ': ' "${CASSANDRA_ENDPOINT_SNITCH:-}"
set_key "$yaml" listen_address ': ' "$listen"
set_key "$yaml" broadcast_address ': ' "$broadcast"
set_key "$yaml" rpc_address ': ' "${CASSANDRA_RPC_ADDRESS:-0.0.0.0}"
set_key "$yaml" broadcast_rpc_address ': ' "${CASSANDRA_BROADCAST_RPC_ADDRESS:-$broadcast}"
set_key "$yaml" '      - seeds' ': ' "\"${CASSANDRA_SEEDS:-$broadcast}\""

rackdc=$CASSANDRA_CONF/cassandra-rackdc.properties
set_key "$rackdc" dc = "${CASSANDRA_DC:-}"
set_key "$rackdc" rack = "${CASSANDRA_RACK:-}"

exec "$@"
