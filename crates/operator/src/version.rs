//! Which build this is.

use std::sync::LazyLock;

/// The release, and the commit if `BUILD_COMMIT` named it when this was compiled.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let release = env!("CARGO_PKG_VERSION");
        match option_env!("BUILD_COMMIT") {
            Some(commit) if !commit.is_empty() => format!("{release} ({commit})"),
            _ => release.to_owned(),
        }
    });
    &VERSION
}
