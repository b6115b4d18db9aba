//! What a ring keeps for its whole life although its spec does not say it.
//!
//! Cassandra saves the name of its cluster with the data and never starts under another one. So the name is chosen once, and
//! written where it lives and dies with what it belongs to: on the PetSets while there are pods, and on the volume claims,
//! which a deletion may leave for the next Cassandra of the name, or a backup for one of another namespace. Rings and volumes
//! without the note were made before there was one, when the cluster was called as the Cassandra is.

use std::collections::BTreeMap;

use api::{PetSet, names};

/// What a ring keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Name of the cluster, as its nodes know it.
    pub cluster: String,
    /// Secret of the operator's settings.
    pub config_secret: String,
}

impl Kept {
    /// What a new ring gets. The cluster's name is unique among the namespaces, so that a node which finds a node of another
    /// ring at an address of its own ring turns it away instead of joining it.
    pub fn new(namespace: &str, name: &str, uid: &str) -> Self {
        Self { cluster: format!("{name}.{namespace}"), config_secret: names::config_secret(name, uid) }
    }

    /// What to write on the PetSets and claims of a ring of this name.
    pub fn note(&self, name: &str) -> Option<BTreeMap<String, String>> {
        (self.cluster != name).then(|| [(names::CLUSTER_NAME.to_owned(), self.cluster.clone())].into())
    }

    /// What the PetSets of a ring say; `None` without any.
    pub fn of(name: &str, petsets: &[&PetSet]) -> Option<Self> {
        petsets.first()?;
        let cluster = petsets.iter().find_map(|petset| {
            let mut claims = petset.spec.volume_claim_templates.iter().flatten();
            noted(petset.metadata.annotations.as_ref())
                .or_else(|| claims.find_map(|claim| noted(claim.metadata.annotations.as_ref())))
        });
        Some(Self {
            cluster: cluster.unwrap_or(name).to_owned(),
            config_secret: petsets
                .iter()
                .find_map(|petset| mounted(petset))
                .unwrap_or_else(|| names::old_config_secret(name)),
        })
    }
}

/// The name of the cluster that an object is noted for.
pub fn noted(annotations: Option<&BTreeMap<String, String>>) -> Option<&str> {
    annotations?.get(names::CLUSTER_NAME).map(String::as_str)
}

fn mounted(petset: &PetSet) -> Option<String> {
    let pod = petset.spec.template.spec.as_ref()?;
    let volume = pod.volumes.iter().flatten().find(|volume| volume.name == names::CONFIG_VOLUME)?;
    volume.secret.as_ref()?.secret_name.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn petset(annotation: Option<&str>, claim: Option<&str>, secret: Option<&str>) -> PetSet {
        let note = |name: Option<&str>| name.map(|name| json!({ names::CLUSTER_NAME: name }));
        let volumes =
            secret.map(|secret| json!([{ "name": "operator-config", "secret": { "secretName": secret } }]));
        serde_json::from_value(json!({
            "metadata": { "name": "db", "annotations": note(annotation) },
            "spec": {
                "selector": {}, "serviceName": "db-pods",
                "template": { "spec": { "containers": [], "volumes": volumes } },
                "volumeClaimTemplates": [{ "metadata": { "name": "data", "annotations": note(claim) } }],
            },
        }))
        .unwrap()
    }

    fn kept(petsets: &[PetSet]) -> Option<(String, String)> {
        Kept::of("db", &petsets.iter().collect::<Vec<_>>()).map(|kept| (kept.cluster, kept.config_secret))
    }

    #[test]
    fn a_ring_keeps_the_name_and_the_secret_that_it_was_made_with() {
        let is = |cluster: &str, secret: &str| Some((cluster.to_owned(), secret.to_owned()));
        assert_eq!(kept(&[]), None);
        assert_eq!(kept(&[petset(None, None, Some("db-config"))]), is("db", "db-config"), "made long ago");
        assert_eq!(kept(&[petset(Some("db.ns"), None, Some("db-1"))]), is("db.ns", "db-1"));
        assert_eq!(kept(&[petset(None, Some("db.ns"), None)]), is("db.ns", "db-config"), "a note is lost");
        let racks = [petset(None, None, None), petset(Some("db.old"), None, Some("db-1"))];
        assert_eq!(kept(&racks), is("db.old", "db-1"), "one rack is enough");
    }
}
