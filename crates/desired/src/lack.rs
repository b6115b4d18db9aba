//! Checks the Secret of `spec.configuration.secretName` before any pod is created: a pod would wait for a missing Secret
//! without an error, and would ignore settings under a wrong key.

use api::names::CONFIG_KEY;
use k8s_openapi::api::core::v1::Secret;

/// What is wrong with the Secret, as the rest of a sentence; `None` if nothing.
pub fn lack(secret: Option<&Secret>) -> Option<String> {
    let Some(secret) = secret else { return Some("does not exist".to_owned()) };
    let data = secret.data.as_ref();
    let Some(settings) = data.and_then(|data| data.get(CONFIG_KEY)) else {
        return Some(format!("has no key {CONFIG_KEY}"));
    };
    let unread: Vec<_> = data
        .into_iter()
        .flat_map(|data| data.keys())
        .filter(|key| *key != CONFIG_KEY)
        .map(String::as_str)
        .collect();
    if !unread.is_empty() {
        return Some(format!(
            "has the keys {}, which nobody reads: {CONFIG_KEY} is the only file that can be given. Remove them; options of \
             the JVM go into the variable JVM_EXTRA_OPTS of the container cassandra",
            unread.join(", ")
        ));
    }
    match std::str::from_utf8(&settings.0) {
        Ok(settings) => {
            settings::problem(settings, true).map(|problem| format!("key {CONFIG_KEY}: {problem}"))
        }
        Err(_) => Some(format!("key {CONFIG_KEY}: it is no text")),
    }
}
