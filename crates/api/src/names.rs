//! The name of every object, container, volume and port that belongs to a Cassandra (KubeDB's names).

/// Container that runs Cassandra.
pub const CONTAINER: &str = "cassandra";
/// Init container of the database image: copies the image's own configuration.
pub const INIT_CONTAINER: &str = "cassandra-init";
/// Init container of the provisioner image: merges the user's and the operator's settings into that configuration.
pub const RENDER_CONTAINER: &str = "render-config";
/// Volume of the data, and its claim template.
pub const DATA_VOLUME: &str = "data";
/// Port of CQL.
pub const CQL_PORT: u16 = 9042;
/// Port between nodes.
pub const INTERNODE_PORT: u16 = 7000;
/// Port between nodes, with TLS.
pub const INTERNODE_SSL_PORT: u16 = 7001;
/// Port of JMX.
pub const JMX_PORT: u16 = 7199;
/// Name of the superuser in a generated Secret.
pub const SUPERUSER: &str = "admin";
/// Finalizer of a Cassandra.
pub const CASSANDRA_FINALIZER: &str = "kubedb.com/cassandra";
/// Finalizer of a running CassandraOpsRequest.
pub const OPS_REQUEST_FINALIZER: &str = "ops.kubedb.com/cassandraopsrequest";
/// Key of the user's configuration, in a Secret and inline.
pub const CONFIG_KEY: &str = "cassandra.yaml";
/// PlacementPolicy used when none is named.
pub const DEFAULT_PLACEMENT_POLICY: &str = "default";

/// Volume of the operator's settings.
pub const CONFIG_VOLUME: &str = "operator-config";
/// Volume of the user's settings that come from a Secret.
pub const CUSTOM_CONFIG_VOLUME: &str = "custom-config";
/// Annotation on PetSets and volume claims: name of the cluster that the data belongs to.
pub const CLUSTER_NAME: &str = "kubedb.com/cluster-name";
/// Annotation on PetSets and volume claims: `num_tokens` that the ring was created with.
pub const NUM_TOKENS: &str = "kubedb.com/num-tokens";
/// Annotation on PetSets and volume claims: class of the partitioner that the ring was created with.
pub const PARTITIONER: &str = "kubedb.com/partitioner";

/// Annotation on PetSets: identifies the template that an operator has given it.
pub const TEMPLATE: &str = "kubedb.com/template";
/// Name of the provisioner, and the field manager of the PetSets, whichever operator writes them.
pub const PROVISIONER: &str = "provisioner";

/// Annotation on a Cassandra: host ids, separated by commas, of nodes whose data the user accepts as lost for good.
pub const ACCEPT_DATA_LOSS: &str = "kubedb.com/accept-data-loss";

/// PetSet of a rack. The PetSet of a standalone Cassandra has the Cassandra's own name.
pub fn petset(cassandra: &str, rack: Option<&str>) -> String {
    rack.map_or_else(|| cassandra.to_owned(), |rack| format!("{cassandra}-rack-{rack}"))
}

/// Pod of a PetSet.
pub fn pod(petset: &str, ordinal: i32) -> String {
    format!("{petset}-{ordinal}")
}

/// Headless Service that gives the pods of a PetSet their DNS names.
pub fn governing_service(petset: &str) -> String {
    format!("{petset}-pods")
}

/// Generated Secret of the superuser.
pub fn auth_secret(cassandra: &str) -> String {
    format!("{cassandra}-auth")
}

/// Secret with the operator's and the user's inline configuration. The end of the UID keeps the name apart from any Secret
/// of the user's.
pub fn config_secret(cassandra: &str, uid: &str) -> String {
    let tail = uid.len().saturating_sub(6);
    format!("{cassandra}-{}", uid.get(tail..).unwrap_or(uid))
}

/// Former name of [`config_secret`], without the UID. Rings created under it still have it.
pub fn old_config_secret(cassandra: &str) -> String {
    format!("{cassandra}-config")
}
