//! What a ring keeps for its whole life although its spec does not say it.
//!
//! Cassandra saves the name of its cluster with the data and never starts under another one. So the name is chosen once, and
//! written where it lives and dies with what it belongs to: on the PetSets while there are pods, and on the volume claims,
//! which a deletion may leave for the next Cassandra of the name, or a backup for one of another namespace. Rings and volumes
//! without the note were made before there was one, when the cluster was called as the Cassandra is.
//!
//! The same holds for the settings that Cassandra lets nobody change on a node with data. What the user says of them when the ring
//! is made holds for all nodes that it will ever have; of rings without the note nothing is known.

use std::collections::BTreeMap;

use api::{PetSet, names};

/// What a ring keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Name of the cluster, as its nodes know it.
    pub cluster: String,
    /// Secret of the operator's settings.
    pub config_secret: String,
    /// Values of the settings that never change; empty where they were not noted.
    pub fixed: BTreeMap<String, String>,
}

/// Settings that never change, with the annotation that notes each and the value of a ring whose user says nothing.
const FIXED: [(&str, &str, &str); 2] = [
    ("num_tokens", names::NUM_TOKENS, "16"),
    ("partitioner", names::PARTITIONER, "org.apache.cassandra.dht.Murmur3Partitioner"),
];

impl Kept {
    /// What a new ring gets. The cluster's name is unique among the namespaces, so that a node which finds a node of another
    /// ring at an address of its own ring turns it away instead of joining it.
    pub fn new(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            cluster: format!("{name}.{namespace}"),
            config_secret: names::config_secret(name, uid),
            fixed: FIXED.map(|(setting, _, value)| (setting.to_owned(), value.to_owned())).into(),
        }
    }

    /// Takes the values that the user says.
    pub fn choose(&mut self, said: impl Fn(&str) -> Option<String>) {
        for (setting, _, default) in FIXED {
            let value = said(setting).unwrap_or_else(|| default.to_owned());
            self.fixed.insert(setting.to_owned(), value);
        }
    }

    /// What to write on the volume claims of a ring of this name.
    pub fn note_of_claims(&self, name: &str) -> Option<BTreeMap<String, String>> {
        (self.cluster != name).then(|| [(names::CLUSTER_NAME.to_owned(), self.cluster.clone())].into())
    }

    /// What to write on the PetSets of a ring of this name.
    pub fn note(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let mut notes = self.note_of_claims(name).unwrap_or_default();
        for (setting, annotation, _) in FIXED {
            notes.extend(self.fixed.get(setting).map(|value| (annotation.to_owned(), value.clone())));
        }
        (!notes.is_empty()).then_some(notes)
    }

    /// What the PetSets of a ring say; `None` without any.
    pub fn of(name: &str, petsets: &[&PetSet]) -> Option<Self> {
        petsets.first()?;
        let of_petsets = || petsets.iter().filter_map(|petset| petset.metadata.annotations.as_ref());
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
            fixed: of_petsets().map(fixed).find(|fixed| !fixed.is_empty()).unwrap_or_default(),
        })
    }
}

/// The settings that an object is noted for.
fn fixed(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let noted = |(setting, annotation, _): (&str, &str, &str)| {
        Some((setting.to_owned(), annotations.get(annotation)?.clone()))
    };
    FIXED.into_iter().filter_map(noted).collect()
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

    #[test]
    fn settings_are_fixed_for_rings_that_note_them() {
        let mut kept = Kept::new("ns", "db", "uid");
        kept.choose(|setting| (setting == "num_tokens").then(|| "8".to_owned()));
        let mut petset = petset(None, None, None);
        assert!(Kept::of("db", &[&petset]).unwrap().fixed.is_empty(), "made before");
        petset.metadata.annotations = kept.note("db");
        assert_eq!(Kept::of("db", &[&petset]).unwrap().fixed, kept.fixed);
        assert_eq!(kept.fixed["num_tokens"], "8");
        assert_eq!(kept.fixed["partitioner"], "org.apache.cassandra.dht.Murmur3Partitioner");
    }
}
