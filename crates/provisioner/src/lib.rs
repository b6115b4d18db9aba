//! Operator: a Cassandra becomes a running ring.
