//! Settings that exclude each other: of a layer that chooses a mode, the layers below may not keep what belongs to another.

use serde_yaml::{Mapping, Value};

use super::spelling::canonical;

/// Cassandra refuses the period of the periodic mode beside any other mode, and every image has that period.
pub(super) fn drop_excluded(settings: &mut Mapping, over: &Mapping) {
    let mode = over.get("commitlog_sync").and_then(Value::as_str);
    if matches!(mode, Some("batch" | "group")) {
        settings.retain(|key, _| key.as_str().is_none_or(|key| canonical(key) != "commitlog_sync_period"));
    }
}
