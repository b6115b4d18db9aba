//! The Secret of the superuser.

use std::collections::BTreeMap;

use api::labels;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use thiserror::Error;

use crate::resolved::Resolved;

const TYPE: &str = "kubernetes.io/basic-auth";
const ACTIVE_FROM: &str = "kubedb.com/auth-active-from";

/// Annotations that keep Argo CD and Flux from pruning this Secret because it is not in Git: it is the one object that cannot be
/// created again. https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/#no-prune-resources
const KEPT_BY_TOOLS: [(&str, &str); 3] = [
    ("argocd.argoproj.io/compare-options", "IgnoreExtraneous"),
    ("argocd.argoproj.io/sync-options", "Prune=false"),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
];

/// The Secret with a login. Its keys are those of KubeDB.
///
/// It has no owner: the password opens the data, so it must live as long as the data, and a foreground deletion would remove
/// owned objects before the deletionPolicy is looked at. It gets none of the user's labels: a tool that finds its objects by
/// label would prune an object that has no owner and is not in Git.
pub fn secret(resolved: &Resolved, name: &str, now: Timestamp, username: &str, password: &str) -> Secret {
    // Whole seconds, as people and tools compare it.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut annotations = annotations_to_keep();
    annotations.insert(ACTIVE_FROM.to_owned(), now.to_string());
    let data = [("username", username), ("password", password)];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(resolved.namespace.clone()),
            labels: Some(labels::operator_labels(&resolved.name)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.to_owned()),
        data: Some(data.map(|(key, value)| (key.to_owned(), ByteString(value.into()))).into()),
        ..Secret::default()
    }
}

fn annotations_to_keep() -> BTreeMap<String, String> {
    KEPT_BY_TOOLS.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// What an existing Secret of the operator's lacks: annotations to add, and labels inherited from the user to remove. `None` if
/// nothing. An annotation that exists with another value is the user's decision and stays.
pub fn to_keep(resolved: &Resolved, secret: &Secret) -> Option<(BTreeMap<String, String>, Vec<String>)> {
    let has = |key: &str| secret.annotations().contains_key(key);
    let lacks: BTreeMap<_, _> = annotations_to_keep().into_iter().filter(|(key, _)| !has(key)).collect();
    let own = labels::operator_labels(&resolved.name);
    let inherited = resolved
        .labels()
        .into_iter()
        .filter(|(key, value)| !own.contains_key(key) && secret.labels().get(key) == Some(value));
    let inherited: Vec<_> = inherited.map(|(key, _)| key).collect();
    (!lacks.is_empty() || !inherited.is_empty()).then_some((lacks, inherited))
}

/// Why a Secret is not a login.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// A required key is missing or empty.
    #[error("its key {0} is missing or empty; it needs username and password")]
    Missing(&'static str),
    /// A value is not text.
    #[error("its key {0} is not UTF-8 text")]
    NotText(&'static str),
}

/// Reads user name and password from the Secret of a login.
pub fn credentials(secret: &Secret) -> Result<(String, String), Malformed> {
    let value = |key| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key)).filter(|bytes| !bytes.0.is_empty());
        let bytes = bytes.ok_or(Malformed::Missing(key))?;
        String::from_utf8(bytes.0.clone()).map_err(|_| Malformed::NotText(key))
    };
    Ok((value("username")?, value("password")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &[u8])]) -> Secret {
        let data = pairs.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn a_secret_needs_a_name_and_a_password_in_plain_text() {
        let good = credentials(&with(&[("username", b"admin"), ("password", b"x")]));
        assert_eq!(good, Ok(("admin".to_owned(), "x".to_owned())));
        let say = |pairs: &[(&str, &[u8])]| credentials(&with(pairs)).unwrap_err().to_string();
        assert!(say(&[("username", b"admin")]).contains("key password is missing"));
        assert!(say(&[("username", b""), ("password", b"x")]).contains("key username is missing or empty"));
        assert!(say(&[("username", b"a"), ("password", &[0xff])]).contains("key password is not UTF-8"));
        assert_eq!(credentials(&Secret::default()), Err(Malformed::Missing("username")));
    }
}
