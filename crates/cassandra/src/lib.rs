//! Questions to and changes of a running Cassandra node over CQL.
