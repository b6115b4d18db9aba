//! The Secret of the superuser.

use std::collections::BTreeMap;

use api::{labels, names};
use cassandra::Credentials;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use thiserror::Error;

use crate::plan::Plan;

const TYPE: &str = "kubernetes.io/basic-auth";
const ACTIVE_FROM: &str = "kubedb.com/auth-active-from";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
const LENGTH: usize = 16;

/// Annotations that keep Argo CD and Flux from pruning this Secret because it is not in Git: it is the one object that cannot be
/// created again. https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/#no-prune-resources
const KEPT_BY_TOOLS: [(&str, &str); 3] = [
    ("argocd.argoproj.io/compare-options", "IgnoreExtraneous"),
    ("argocd.argoproj.io/sync-options", "Prune=false"),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
];

/// A new Secret with a new password.
pub fn secret(plan: &Plan, name: &str, now: Timestamp) -> Secret {
    let login = [names::SUPERUSER.into(), password(&mut rand::rng())];
    with_login(plan, name, now, login)
}

/// The Secret with a login that the ring already has.
pub fn secret_again(plan: &Plan, name: &str, now: Timestamp, login: &Credentials) -> Secret {
    with_login(plan, name, now, [login.username.clone().into_bytes(), login.password.clone().into_bytes()])
}

/// It has no owner: the password opens the data, so it must live as long as the data, and a foreground deletion would remove
/// owned objects before the deletionPolicy is looked at. It gets none of the user's labels: a tool that finds its objects by
/// label would prune an object that has no owner and is not in Git.
fn with_login(plan: &Plan, name: &str, now: Timestamp, [username, password]: [Vec<u8>; 2]) -> Secret {
    // Whole seconds, as people and tools compare it.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut annotations = annotations_to_keep();
    annotations.insert(ACTIVE_FROM.to_owned(), now.to_string());
    let data = [("username", username), ("password", password)];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(plan.namespace.clone()),
            labels: Some(labels::operator_labels(&plan.name)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.to_owned()),
        data: Some(data.map(|(key, value)| (key.to_owned(), ByteString(value))).into()),
        ..Secret::default()
    }
}

fn annotations_to_keep() -> BTreeMap<String, String> {
    KEPT_BY_TOOLS.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// What an existing Secret of the operator's lacks: annotations to add, and labels inherited from the user to remove. `None` if
/// nothing. An annotation that exists with another value is the user's decision and stays.
pub fn to_keep(plan: &Plan, secret: &Secret) -> Option<(BTreeMap<String, String>, Vec<String>)> {
    let has = |key: &str| secret.annotations().contains_key(key);
    let lacks: BTreeMap<_, _> = annotations_to_keep().into_iter().filter(|(key, _)| !has(key)).collect();
    let own = labels::operator_labels(&plan.name);
    let inherited = plan
        .labels()
        .into_iter()
        .filter(|(key, value)| !own.contains_key(key) && secret.labels().get(key) == Some(value));
    let inherited: Vec<_> = inherited.map(|(key, _)| key).collect();
    (!lacks.is_empty() || !inherited.is_empty()).then_some((lacks, inherited))
}

/// Letters and digits, at least one of each kind, so that no client, shell or URL needs to escape it.
fn password(rng: &mut impl Rng) -> Vec<u8> {
    let all = [UPPER, LOWER, DIGITS].concat();
    let required = [UPPER, LOWER, DIGITS];
    let pick = |position| required.get(position).map_or(all.as_slice(), |&kind| kind);
    let mut password: Vec<u8> =
        (0..LENGTH).filter_map(|position| pick(position).choose(rng).copied()).collect();
    password.shuffle(rng);
    password
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

/// Reads the login from a Secret.
pub fn credentials(secret: &Secret) -> Result<Credentials, Malformed> {
    let value = |key| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key)).filter(|bytes| !bytes.0.is_empty());
        let bytes = bytes.ok_or(Malformed::Missing(key))?;
        String::from_utf8(bytes.0.clone()).map_err(|_| Malformed::NotText(key))
    };
    Ok(Credentials { username: value("username")?, password: value("password")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_16_letters_and_digits_with_one_of_each_kind() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let password = password(&mut rand::rng());
            assert_eq!(password.len(), 16);
            assert!(password.iter().all(u8::is_ascii_alphanumeric));
            for kind in [UPPER, LOWER, DIGITS] {
                assert!(password.iter().any(|letter| kind.contains(letter)));
            }
            seen.insert(password);
        }
        assert_eq!(seen.len(), 500);
    }

    fn with(pairs: &[(&str, &[u8])]) -> Secret {
        let data = pairs.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn a_secret_needs_a_name_and_a_password_in_plain_text() {
        let good = credentials(&with(&[("username", b"admin"), ("password", b"x")])).unwrap();
        assert_eq!((good.username.as_str(), good.password.as_str()), ("admin", "x"));
        let say = |pairs: &[(&str, &[u8])]| credentials(&with(pairs)).unwrap_err().to_string();
        assert!(say(&[("username", b"admin")]).contains("key password is missing"));
        assert!(say(&[("username", b""), ("password", b"x")]).contains("key username is missing or empty"));
        assert!(say(&[("username", b"a"), ("password", &[0xff])]).contains("key password is not UTF-8"));
        assert_eq!(credentials(&Secret::default()), Err(Malformed::Missing("username")));
    }
}
