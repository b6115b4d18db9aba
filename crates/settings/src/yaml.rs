//! Reading, merging and writing `cassandra.yaml`.
//!
//! Cassandra reads YAML 1.1, in which `on` and `0777` are not text. Here they are kept as the text that the user wrote. Cassandra
//! knows the type of each setting, so when it reads the text back it gets the same value as from the original.

use serde_yaml::{Mapping, Value};

use crate::exclusive::drop_excluded;
use crate::spelling::canonical;

/// Parses settings. An empty file, or one with only comments, has none.
pub fn parse(text: &str) -> Result<Mapping, String> {
    let value: Value = serde_yaml::from_str(text).map_err(|error| format!("it is no valid YAML: {error}"))?;
    let settings = match value {
        Value::Null => Mapping::new(),
        Value::Mapping(settings) => settings,
        _ => return Err("it must be a list of `setting: value`".to_owned()),
    };
    match settings.keys().find(|key| !key.is_string()) {
        Some(key) => Err(format!("{key:?} is no name of a setting; put it in quotes or remove it")),
        None => Ok(settings),
    }
}

/// Merges settings over others. A setting also replaces the other spelling of its name, since Cassandra does not start with both
/// in one file. Values are replaced as a whole, as Cassandra documents each setting; `null` removes a setting.
pub fn lay_over(settings: &mut Mapping, over: Mapping) -> Result<(), String> {
    let name = |key: &Value| key.as_str().map(|key| canonical(key).into_owned());
    let mut names = std::collections::BTreeMap::new();
    for key in over.keys() {
        if let Some(other) = names.insert(name(key), key) {
            let [one, other] = [other, key].map(|key| key.as_str().unwrap_or_default());
            return Err(format!("{one} and {other} are two names of one setting; keep one"));
        }
    }
    settings.retain(|key, _| !names.contains_key(&name(key)));
    drop_excluded(settings, &over);
    settings.extend(over.into_iter().filter(|(_, value)| !value.is_null()));
    Ok(())
}

/// Serializes settings.
pub fn print(settings: &Mapping) -> Result<String, String> {
    serde_yaml::to_string(settings).map_err(|error| format!("it cannot be written: {error}"))
}
