//! What every reconcile of this operator works with.

use api::{Cassandra, CassandraOpsRequest, CassandraVersion, PetSet};
use cassandra::Sessions;
use k8s_openapi::api::core::v1::Pod;
use operator::{Cache, Operator};

/// What every reconcile of this operator works with.
#[derive(Clone)]
pub struct Context {
    /// The running operator.
    pub operator: Operator,
    /// Sessions to the nodes of all rings.
    pub sessions: Sessions,
    /// The requests.
    pub requests: Cache<CassandraOpsRequest>,
    /// The Cassandras.
    pub cassandras: Cache<Cassandra>,
    /// The catalog.
    pub versions: Cache<CassandraVersion>,
    /// The PetSets of the Cassandras.
    pub petsets: Cache<PetSet>,
    /// The pods of the Cassandras.
    pub pods: Cache<Pod>,
}
