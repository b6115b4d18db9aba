//! The configuration of the nodes: files for `render-config`, stored in one Secret.
//!
//! Kubernetes mounts the content of the moment whenever and wherever a pod starts, so an edited file would reach a node that nobody
//! has decided to restart. Therefore the content of a key never changes once the ring is in use: a file with other content gets
//! another key, and the template of the pods names the keys.

use std::collections::BTreeMap;

use api::PetSet;
use api::names::{CONFIG_KEY, CONFIG_VOLUME, CUSTOM_CONFIG_VOLUME};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{PodSpec, Secret};
use settings::layout::{INLINE_KEY, MEMBERS_KEY, OPERATOR_KEY};

use crate::hash::hash;
use crate::members::members;
use crate::operator_settings;
use crate::resolved::Resolved;

/// Key of each file in the Secret, by the name of the file.
pub type Keys = BTreeMap<String, String>;

/// The configuration of a ring.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The files that the spec leads to.
    pub keys: Keys,
    /// Content of each key, also of those that only older pods and templates name.
    pub data: BTreeMap<String, ByteString>,
}

/// What there is of a configuration already.
#[derive(Default)]
pub struct Stored<'a> {
    /// The Secret.
    pub secret: Option<&'a Secret>,
    /// What pods and templates mount of it, see [`mounted`].
    pub used: Vec<Mounted<'a>>,
}

impl Configuration {
    /// The configuration that the spec leads to. `custom` is the content of the user's Secret.
    pub fn of(resolved: &Resolved, custom: Option<&ByteString>, stored: &Stored) -> Self {
        let mut files = files(resolved);
        files.extend(custom.map(|content| (CONFIG_KEY.to_owned(), content.clone())));
        // Before the ring was Ready once, an edit reaches every node that starts.
        if !resolved.is_in_use() {
            return Self {
                keys: files.keys().map(|file| (file.clone(), file.clone())).collect(),
                data: files,
            };
        }
        let nothing = BTreeMap::new();
        let present = stored.secret.and_then(|secret| secret.data.as_ref()).unwrap_or(&nothing);
        let before = known(resolved, present);
        // A cache may not show yet that a request has given a template the keys that were stored last.
        let newest = before.values().filter_map(|key| Some((key.clone(), present.get(key)?.clone())));
        let (mut keys, mut data) = (Keys::new(), newest.collect::<BTreeMap<_, _>>());
        for Mounted { key, file, .. } in &stored.used {
            let Some(content) = present.get(*key) else { continue };
            data.insert((*key).to_owned(), content.clone());
            // A volume without items would still have a file that the spec has no longer: it becomes empty.
            files.entry((*file).to_owned()).or_default();
        }
        for (file, content) in files {
            let used = stored.used.iter().filter(|used| used.file == file).map(|used| used.key);
            let before = before.get(&file).map(String::as_str);
            let has_it = |key: &&str| present.get(*key) == Some(&content);
            // If the Secret was deleted, the first content has its key again.
            let lost = before.filter(|key| *key == file && !present.contains_key(*key));
            let key = before.into_iter().chain(used).find(has_it).or(lost);
            let key = key.map_or_else(|| revised(&file, &content), str::to_owned);
            data.insert(key.clone(), content);
            keys.insert(file, key);
        }
        Self { keys, data }
    }
}

/// The files that follow from the spec, by name.
fn files(resolved: &Resolved) -> BTreeMap<String, ByteString> {
    let content = |text: String| ByteString(text.into_bytes());
    let mut files = BTreeMap::from([(OPERATOR_KEY.to_owned(), content(operator_settings::yaml(resolved)))]);
    let configuration = resolved.cassandra.spec.configuration.as_ref();
    let inline = configuration.and_then(|it| it.inline.get(CONFIG_KEY));
    files.extend(inline.map(|inline| (INLINE_KEY.to_owned(), content(inline.clone()))));
    files
}

/// The Secret with the content of all files, and the list of nodes, which every node reads as it is when it starts.
pub(crate) fn secret(resolved: &Resolved, mut data: BTreeMap<String, ByteString>) -> Secret {
    let members = serde_json::to_vec(&members(resolved)).unwrap_or_default();
    data.insert(MEMBERS_KEY.to_owned(), ByteString(members));
    Secret {
        metadata: resolved.meta(resolved.kept.config_secret.clone()),
        type_: Some("Opaque".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

/// The keys of the files so far. Releases before this one did not note them, and had no copy of the user's Secret.
fn known(resolved: &Resolved, present: &BTreeMap<String, ByteString>) -> Keys {
    let status = resolved.cassandra.status.as_ref();
    if let Some(noted) = status.and_then(|status| status.configuration.as_ref()) {
        return noted.keys.clone();
    }
    let plain = [OPERATOR_KEY, INLINE_KEY].into_iter().filter(|file| present.contains_key(*file));
    plain.map(|file| (file.to_owned(), file.to_owned())).collect()
}

/// `inline.yaml` becomes `inline-HASH.yaml`.
fn revised(file: &str, content: &ByteString) -> String {
    let hash = hash(&content.0);
    match file.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}-{hash}.{extension}"),
        None => format!("{file}-{hash}"),
    }
}

/// A file of the configuration in a pod.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Mounted<'a> {
    /// Name of the Secret.
    pub secret: &'a str,
    /// Key in it.
    pub key: &'a str,
    /// Name of the file.
    pub file: &'a str,
}

/// The files that a pod mounts, apart from the list of nodes. A volume without items has every key under its own name.
pub fn mounted(pod: &PodSpec) -> Vec<Mounted<'_>> {
    let plain = |volume: &str| match volume {
        CONFIG_VOLUME => &[OPERATOR_KEY, INLINE_KEY][..],
        CUSTOM_CONFIG_VOLUME => &[CONFIG_KEY],
        _ => &[],
    };
    let mut all = vec![];
    for volume in pod.volumes.iter().flatten() {
        let (Some(source), plain) = (&volume.secret, plain(&volume.name)) else { continue };
        let Some(secret) = source.secret_name.as_deref().filter(|_| !plain.is_empty()) else { continue };
        match &source.items {
            None => all.extend(plain.iter().map(|file| Mounted { secret, key: file, file })),
            Some(items) => {
                let items = items.iter().filter(|item| item.path != MEMBERS_KEY);
                all.extend(items.map(|item| Mounted { secret, key: &item.key, file: &item.path }));
            }
        }
    }
    all
}

/// The files that the pods of a PetSet mount, see [`mounted`].
pub fn mounted_by(petset: &PetSet) -> Vec<Mounted<'_>> {
    petset.spec.template.spec.as_ref().map(mounted).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use api::{Cassandra, CassandraVersion};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Inputs, objects};

    /// A Cassandra, and what is stored of it.
    struct Ring {
        cassandra: Cassandra,
        secret: Option<Secret>,
        template: PodSpec,
        in_use: bool,
    }

    impl Ring {
        fn new(configuration: &Value) -> Self {
            let spec = json!({ "version": "4.1.10", "storage": {}, "configuration": configuration });
            let metadata = json!({ "name": "db", "namespace": "ns", "uid": "123456" });
            let cassandra = serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap();
            Self { cassandra, secret: None, template: PodSpec::default(), in_use: false }
        }

        /// As the provisioner does: stores the configuration, and gives the template to the pods unless the ring is in use.
        fn store(&mut self, configuration: &Value, custom: Option<&str>) -> PodSpec {
            self.cassandra.spec.configuration = serde_json::from_value(configuration.clone()).unwrap();
            let provisioned = json!({
                "type": "Provisioned", "status": if self.in_use { "True" } else { "False" }, "reason": "", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            });
            self.cassandra.status.get_or_insert_default().conditions =
                vec![serde_json::from_value(provisioned).unwrap()];
            let version =
                json!({ "metadata": {}, "spec": { "version": "4.1.10", "db": { "image": "c:1" } } });
            let version: CassandraVersion = serde_json::from_value(version).unwrap();
            let custom = custom.map(|text| ByteString(text.as_bytes().to_vec()));
            let used = mounted(&self.template);
            let stored = Stored { secret: self.secret.as_ref(), used };
            let resolved = Resolved::of(&self.cassandra);
            let Configuration { keys, data } = Configuration::of(&resolved, custom.as_ref(), &stored);
            let inputs = Inputs { version: &version, image: "render-config:1", keys: &keys };
            let objects = objects(&resolved, &inputs, data);
            self.secret = Some(objects.config);
            let noted = api::cassandra::StoredConfiguration { keys, copied: None };
            self.cassandra.status.get_or_insert_default().configuration = Some(noted);
            let template = objects.petsets[0].spec.template.spec.clone().unwrap();
            if !self.in_use {
                self.template = template.clone();
            }
            template
        }

        /// The content of a file that a pod of a template reads; `None`: it has no such file.
        fn read(&self, template: &PodSpec, file: &str) -> Option<String> {
            let data = self.secret.as_ref().unwrap().data.as_ref().unwrap();
            let mounted = mounted(template).into_iter().find(|mounted| mounted.file == file)?;
            data.get(mounted.key).map(|content| String::from_utf8(content.0.clone()).unwrap())
        }
    }

    fn inline(text: &str) -> Value {
        json!({ "inline": { "cassandra.yaml": text } })
    }

    fn custom() -> Value {
        json!({ "secretName": "theirs" })
    }

    #[test]
    fn an_edit_reaches_the_pods_of_a_new_ring_as_they_are() {
        let mut ring = Ring::new(&Value::Null);
        let first = ring.store(&inline("a: 1"), None);
        assert_eq!(ring.store(&inline("a: 2"), None), first);
        assert_eq!(ring.read(&first, INLINE_KEY).as_deref(), Some("a: 2"));
        ring.store(&Value::Null, None);
        assert_eq!(ring.read(&first, INLINE_KEY), None);
    }

    #[rstest]
    #[case::inline(INLINE_KEY, (inline("a: 1"), None), (inline("a: 2"), None), "a: 2")]
    #[case::added(INLINE_KEY, (Value::Null, None), (inline("a: 2"), None), "a: 2")]
    #[case::removed(INLINE_KEY, (inline("a: 1"), None), (Value::Null, None), "")]
    #[case::secret(CONFIG_KEY, (custom(), Some("a: 1")), (custom(), Some("a: 2")), "a: 2")]
    #[case::without_a_secret_now(CONFIG_KEY, (custom(), Some("a: 1")), (Value::Null, None), "")]
    fn an_edit_of_a_ring_in_use_is_for_the_pods_of_the_next_template(
        #[case] file: &str,
        #[case] before: (Value, Option<&str>),
        #[case] after: (Value, Option<&str>),
        #[case] content: &str,
    ) {
        let mut ring = Ring::new(&Value::Null);
        let old = ring.store(&before.0, before.1);
        let was = ring.read(&old, file);
        ring.in_use = true;
        assert_eq!(ring.store(&before.0, before.1), old, "nothing is edited");

        let new = ring.store(&after.0, after.1);
        assert_eq!(ring.read(&old, file), was, "a pod that dies comes back as it was");
        assert_eq!(ring.read(&new, file).as_deref(), Some(content));
        assert!(ring.read(&new, OPERATOR_KEY).is_some_and(|text| text.contains("cluster_name")));
        assert_eq!(ring.store(&after.0, after.1), new, "and it stays so");

        assert_eq!(ring.store(&before.0, before.1), old, "it was taken back");
        assert_eq!(ring.store(&after.0, after.1), new);
        ring.template = new.clone();
        ring.store(&after.0, after.1);
        assert_eq!(ring.read(&old, file).filter(|text| !text.is_empty()), None, "nobody needs it any more");
        let back = ring.store(&before.0, before.1);
        assert_eq!(ring.read(&back, file).unwrap_or_default(), was.unwrap_or_default(), "and back");
    }

    /// The cache of PetSets lags behind a restart that has brought the first edit.
    #[test]
    fn what_was_stored_last_is_kept_although_nobody_seems_to_use_it() {
        let mut ring = Ring::new(&Value::Null);
        ring.store(&inline("a: 1"), None);
        ring.in_use = true;
        let brought = ring.store(&inline("a: 2"), None);
        ring.store(&inline("a: 3"), None);
        assert_eq!(ring.read(&brought, INLINE_KEY).as_deref(), Some("a: 2"));
    }

    #[test]
    fn a_ring_of_an_older_release_keeps_its_template() {
        let mut ring = Ring::new(&Value::Null);
        let old = ring.store(&inline("a: 1"), None);
        ring.in_use = true;
        ring.cassandra.status = None;
        assert_eq!(ring.store(&inline("a: 1"), None), old);
        ring.cassandra.status = None;
        let new = ring.store(&inline("a: 2"), None);
        assert_eq!(ring.read(&old, INLINE_KEY).as_deref(), Some("a: 1"));
        assert_eq!(ring.read(&new, INLINE_KEY).as_deref(), Some("a: 2"));
    }

    #[test]
    fn a_secret_that_was_deleted_is_made_again_for_the_pods_that_there_are() {
        let mut ring = Ring::new(&Value::Null);
        let old = ring.store(&inline("a: 1"), None);
        ring.in_use = true;
        ring.secret = None;
        assert_eq!(ring.store(&inline("a: 1"), None), old);
        let new = ring.store(&inline("a: 2"), None);
        ring.template = new.clone();
        ring.secret = None;
        assert_eq!(ring.store(&inline("a: 2"), None), new);
        assert_eq!(ring.read(&new, INLINE_KEY).as_deref(), Some("a: 2"));
    }
}
