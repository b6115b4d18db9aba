//! Paths and keys that the pod spec and `render-config` share.

/// Configuration of the node, as the main container sees it.
pub const CONFIG_PATH: &str = "/etc/cassandra";
/// File in that folder with the release of the image, for `render-config`.
pub const RELEASE_FILE: &str = "release";
/// Data of the node.
pub const DATA_PATH: &str = "/var/lib/cassandra";
/// The operator's and the user's inline settings, where `render-config` reads them.
pub const OPERATOR_CONFIG_PATH: &str = "/tmp/config/operator-config";
/// The user's Secret, where `render-config` reads it.
pub const CUSTOM_CONFIG_PATH: &str = "/tmp/config/custom-config";

/// Key of the operator's own settings.
pub const OPERATOR_KEY: &str = "operator.yaml";
/// Key of the list of nodes.
pub const MEMBERS_KEY: &str = "members.json";
/// Key of the user's inline settings.
pub const INLINE_KEY: &str = "inline.yaml";
