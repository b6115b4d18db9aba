//! Operator: carries out CassandraOpsRequests.
