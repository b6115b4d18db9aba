//! Settings that exclude each other: if a layer chooses a mode, settings of other modes are dropped from the layers below.

use serde_yaml::{Mapping, Value};

use crate::spelling::canonical;

/// Cassandra rejects `commitlog_sync_period` in any mode but the periodic one, and the `cassandra.yaml` of every image sets it.
pub(crate) fn drop_excluded(settings: &mut Mapping, over: &Mapping) {
    let mode = over.get("commitlog_sync").and_then(Value::as_str);
    if matches!(mode, Some("batch" | "group")) {
        settings.retain(|key, _| key.as_str().is_none_or(|key| canonical(key) != "commitlog_sync_period"));
    }
}
