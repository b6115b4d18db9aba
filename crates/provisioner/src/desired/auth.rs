//! The Secret of the superuser.

use std::collections::BTreeMap;

use api::names;
use cassandra::Credentials;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
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

/// A new Secret with a new password.
///
/// No owner: the password opens the data, so it goes only when the data goes, and a foreground deletion would remove what
/// is owned before anybody could ask for the deletionPolicy.
pub fn secret(plan: &Plan, name: &str, now: Timestamp) -> Secret {
    let mut metadata = plan.meta_to_keep(name.to_owned());
    // To the second: what people and tools compare.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    metadata.annotations = Some([(ACTIVE_FROM.to_owned(), now.to_string())].into());
    let data = BTreeMap::from([
        ("username".to_owned(), ByteString(names::SUPERUSER.into())),
        ("password".to_owned(), ByteString(password(&mut rand::rng()))),
    ]);
    Secret { metadata, type_: Some(TYPE.to_owned()), data: Some(data), ..Secret::default() }
}

/// Letters and digits with at least one of each kind: what any client, shell and URL takes as it is.
fn password(rng: &mut impl Rng) -> Vec<u8> {
    let all = [UPPER, LOWER, DIGITS].concat();
    let required = [UPPER, LOWER, DIGITS];
    let pick = |position| required.get(position).map_or(all.as_slice(), |&kind| kind);
    let mut password: Vec<u8> =
        (0..LENGTH).filter_map(|position| pick(position).choose(rng).copied()).collect();
    password.shuffle(rng);
    password
}

/// What a Secret lacks.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// A key that a login needs.
    #[error("its key {0} is missing or empty; it needs username and password")]
    Missing(&'static str),
    /// Not text.
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
