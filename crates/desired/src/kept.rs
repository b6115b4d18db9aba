//! Values that a ring keeps for its whole life although its spec does not contain them.
//!
//! Cassandra saves the cluster name with the data and never starts under another one. So the name is chosen once and noted in
//! an annotation: on the PetSets, and on the volume claims, which may outlive the Cassandra and be used by the next one of the
//! same name, or be restored from a backup into another namespace. Rings and volumes without the annotation are older than it;
//! their cluster name is the name of the Cassandra.
//!
//! The same holds for settings that Cassandra does not allow to change on a node with data. What the user sets when the ring is
//! created holds for all nodes that it will ever have. For rings without these annotations, the values are not known.

use std::collections::BTreeMap;

use api::{PetSet, names};

/// Values that a ring keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The cluster name, as its nodes know it.
    pub cluster: String,
    /// Name of the Secret with the operator's settings.
    pub config_secret: String,
    /// Values of the settings that never change; empty if they were not noted.
    pub fixed: BTreeMap<String, String>,
}

/// Settings that never change: name, annotation, and the value of a ring whose user sets none.
const FIXED: [(&str, &str, &str); 2] = [
    ("num_tokens", names::NUM_TOKENS, "16"),
    ("partitioner", names::PARTITIONER, "org.apache.cassandra.dht.Murmur3Partitioner"),
];

impl Kept {
    /// Values for a new ring. The cluster name contains the namespace to be unique: a node that finds a node of another ring at
    /// an address of its own ring then rejects it instead of joining it.
    pub fn new(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            cluster: format!("{name}.{namespace}"),
            config_secret: names::config_secret(name, uid),
            fixed: FIXED.map(|(setting, _, value)| (setting.to_owned(), value.to_owned())).into(),
        }
    }

    /// Takes the user's values, or the defaults.
    pub fn choose(&mut self, said: impl Fn(&str) -> Option<String>) {
        for (setting, _, default) in FIXED {
            let value = said(setting).unwrap_or_else(|| default.to_owned());
            self.fixed.insert(setting.to_owned(), value);
        }
    }

    /// Annotations for the volume claims of a ring of this name.
    pub fn note_of_claims(&self, name: &str) -> Option<BTreeMap<String, String>> {
        (self.cluster != name).then(|| [(names::CLUSTER_NAME.to_owned(), self.cluster.clone())].into())
    }

    /// Annotations for the PetSets of a ring of this name.
    pub fn note(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let mut notes = self.note_of_claims(name).unwrap_or_default();
        for (setting, annotation, _) in FIXED {
            notes.extend(self.fixed.get(setting).map(|value| (annotation.to_owned(), value.clone())));
        }
        (!notes.is_empty()).then_some(notes)
    }

    /// Reads the values back from the PetSets of a ring; `None` if there are none.
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

/// The settings noted in annotations.
fn fixed(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let noted = |(setting, annotation, _): (&str, &str, &str)| {
        Some((setting.to_owned(), annotations.get(annotation)?.clone()))
    };
    FIXED.into_iter().filter_map(noted).collect()
}

/// The cluster name noted in annotations.
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
