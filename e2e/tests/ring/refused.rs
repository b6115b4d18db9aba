//! Updates that must not happen.

use anyhow::Result;
use e2e::kubectl::{apply, condition, kubectl, phase, text};
use e2e::manifests::{update, version};

use crate::{NAMESPACE, fingerprint};

/// A release that cannot follow 4.1: two majors on.
const TOO_FAR: &str = "6.0.0";

pub fn nothing_is_touched() -> Result<()> {
    let before = fingerprint()?;
    apply(&version(TOO_FAR, "localhost/cassandra:6.0.0").to_string())?;
    for (request, target, reason, message) in [
        (
            "unknown",
            "9.9.9",
            "VersionNotFound",
            "spec.updateVersion.targetVersion: there is no CassandraVersion 9.9.9; kubectl get casversion lists them. Nothing was touched",
        ),
        (
            "identical",
            "4.1.9",
            "IdenticalVersion",
            "spec.updateVersion.targetVersion: it has version 4.1.9 already. Nothing was touched",
        ),
        (
            "downgrade",
            "4.1.8",
            "Downgrade",
            "spec.updateVersion.targetVersion: 4.1.8 is older than 4.1.9: Cassandra does not support a downgrade. Nothing was touched",
        ),
        (
            "too-far",
            TOO_FAR,
            "UnsupportedPath",
            "spec.updateVersion.targetVersion: 6.0.0 cannot follow 4.1.9: Cassandra is updated to the same or the next major version only. Nothing was touched",
        ),
    ] {
        apply(&update(NAMESPACE, request, "ring", target).to_string())?;
        let denied = phase(NAMESPACE, &format!("casops/{request}"), &["Denied"], 30)?;
        let why = condition(&denied, "Denied").cloned().unwrap_or_default();
        assert_eq!((text(&why, "/reason"), text(&why, "/message")), (reason.to_owned(), message.to_owned()));
    }
    kubectl(&["delete", "casversion", TOO_FAR])?;
    assert_eq!(fingerprint()?, before);
    Ok(())
}
