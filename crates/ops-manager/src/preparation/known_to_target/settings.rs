//! Compares the user's settings with what each release loads: the fields of its class `Config` and their older names. A node does
//! not start with a setting that it does not know. `docs/concepts/update-checks.md` lists the sources.

use semver::Version;
use serde_yaml::Value;
use settings::yaml;

use super::finding::Finding;

/// A setting of the user's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// Where it is set, in terms of the user's spec.
    pub origin: String,
    /// Its name; a nested one is `outer.inner`.
    pub key: String,
    /// Its value is `true`.
    pub is_true: bool,
}

/// Settings that 4.x loads and 5.0 does not.
const GONE_IN_5_0: [(&str, &str); 4] = [
    (
        "commitlog_sync_batch_window_in_ms",
        "remove it: it has had no effect since 4.0; commitlog_sync: group with commitlog_sync_group_window is what waits",
    ),
    ("commitlog_periodic_queue_size", "remove it: it has had no effect since 4.0"),
    ("concurrent_replicates", "remove it: it has had no effect since 2.1"),
    (
        "native_transport_max_negotiable_protocol_version",
        "remove it: it has had no effect since 4.0; native_transport_allow_older_protocols keeps old drivers out",
    ),
];

/// Settings added to several release lines at once: name, and the first patch release of 4.1 and of 5.0 that loads them.
const ADDED_LATE: [(&str, u64, u64); 12] = [
    ("audit_logging_options.allow_nodetool_archive_command", 2, 0),
    ("full_query_logging_options.allow_nodetool_archive_command", 2, 0),
    ("concurrent_merkle_tree_requests", 5, 0),
    ("transfer_hints_on_decommission", 5, 0),
    ("log_out_of_token_range_requests", 7, 1),
    ("reject_out_of_token_range_requests", 7, 1),
    ("batchlog_endpoint_strategy", 8, 3),
    ("native_transport_max_auth_threads", 8, 0),
    ("native_transport_max_message_size", 8, 3),
    ("use_creation_time_for_hint_ttl", 8, 3),
    ("invalid_legacy_protocol_magic_no_spam_enabled", 9, 4),
    ("paxos_repair_race_wait", 10, 5),
];

/// Both spellings of a setting that 5.0 still loads, but does not start with if it is true.
const SCRIPTED: [&str; 2] =
    ["scripted_user_defined_functions_enabled", "enable_scripted_user_defined_functions"];

/// Parses a `cassandra.yaml`.
pub(crate) fn parse(origin: &str, text: &str) -> Result<Vec<Setting>, String> {
    let settings = yaml::parse(text).map_err(|why| format!("{origin}: {why}"))?;
    let mut read = vec![];
    let mut add = |key: String, value: &Value| {
        read.push(Setting { origin: origin.to_owned(), key, is_true: is_true(value) });
    };
    // `null` removes a setting of the image.
    for (key, value) in settings.iter().filter(|(_, value)| !value.is_null()) {
        let Some(key) = key.as_str() else { continue };
        add(key.to_owned(), value);
        for (inner, value) in value.as_mapping().into_iter().flatten() {
            let Some(inner) = inner.as_str() else { continue };
            add(format!("{key}.{inner}"), value);
        }
    }
    Ok(read)
}

/// Cassandra reads YAML 1.1, which has more words for true.
fn is_true(value: &Value) -> bool {
    let word = value.as_str().map(str::to_lowercase);
    value.as_bool() == Some(true) || word.is_some_and(|word| ["true", "yes", "on"].contains(&&*word))
}

/// Whether, because of this setting, only Cassandra itself can read the commit log.
pub(crate) fn hides_the_commit_log(setting: &Setting) -> bool {
    match setting.key.as_str() {
        "commitlog_compression" => true,
        "transparent_data_encryption_options.enabled" => setting.is_true,
        _ => false,
    }
}

/// Finds the settings that prevent a node of this release from starting.
pub fn not_loaded_by(release: &Version, settings: &[Setting]) -> Vec<Finding> {
    settings.iter().filter_map(|setting| not_loaded(release, setting)).collect()
}

fn not_loaded(release: &Version, setting: &Setting) -> Option<Finding> {
    let since_5_0 = (release.major, release.minor) >= (5, 0);
    let key = setting.key.as_str();
    let (why, help) = if let Some((_, help)) = GONE_IN_5_0.iter().find(|(gone, _)| *gone == key)
        && since_5_0
    {
        ("it was removed in 5.0".to_owned(), (*help).to_owned())
    } else if SCRIPTED.contains(&key) && setting.is_true && since_5_0 {
        ("functions in JavaScript were removed in 5.0".to_owned(), "remove it".to_owned())
    } else {
        let (_, of_4_1, of_5_0) = ADDED_LATE.iter().find(|(added, ..)| *added == key)?;
        let first = match (release.major, release.minor) {
            (4, 1) => *of_4_1,
            (5, 0) => *of_5_0,
            _ => return None,
        };
        if release.patch >= first {
            return None;
        }
        let line = format!("{}.{}", release.major, release.minor);
        (
            format!("release {release} does not know it yet, {line}.{first} does"),
            format!("remove it, or take {line}.{first} or a later one"),
        )
    };
    Some(Finding { what: format!("{}: setting {key}", setting.origin), why, help, fatal: true })
}
