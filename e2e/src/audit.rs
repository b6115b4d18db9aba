//! Who asked the API server for what, from its audit log, which only the embedded cluster lets us read.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::kubectl::text;

/// A position in the audit log.
pub struct Mark(u64);

/// A request of one of the operators.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// `provisioner` or `ops-manager`.
    pub operator: String,
    /// Such as `patch`.
    pub verb: String,
    /// Group of the API; empty for Kubernetes' core.
    pub group: String,
    /// Such as `petsets` or `cassandras/status`.
    pub resource: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// When it was received.
    pub time: String,
    /// Whether its roles let the operator do it.
    pub allowed: bool,
    /// HTTP status of the response.
    pub code: u64,
}

impl Request {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        !["get", "list", "watch"].contains(&self.verb.as_str())
    }
}

/// The end of the log as it is now.
pub fn mark() -> Result<Mark> {
    Ok(Mark(open()?.metadata()?.len()))
}

/// What the operators have asked for since the cluster came up.
pub fn all() -> Result<Vec<Request>> {
    since(&Mark(0))
}

/// What the operators asked for since then.
pub fn since(mark: &Mark) -> Result<Vec<Request>> {
    let mut log = open()?;
    log.seek(SeekFrom::Start(mark.0))?;
    let mut requests = Vec::new();
    for line in BufReader::new(log).lines() {
        // The last line may be half written.
        let Ok(entry) = serde_json::from_str::<Value>(&line?) else { continue };
        requests.extend(request(&entry));
    }
    Ok(requests)
}

/// The pods of a namespace whose eviction was granted since then, in that order.
pub fn evictions(mark: &Mark, namespace: &str) -> Result<Vec<String>> {
    let granted = |it: &Request| it.namespace == namespace && it.resource == "pods/eviction" && it.code < 300;
    Ok(since(mark)?.into_iter().filter(granted).map(|it| it.name).collect())
}

fn request(entry: &Value) -> Option<Request> {
    let user = text(entry, "/user/username");
    let account = user.strip_prefix("system:serviceaccount:cassandra-operators:cassandra-operators-")?;
    if entry["stage"] != "ResponseComplete" {
        return None;
    }
    let (resource, part) = (text(entry, "/objectRef/resource"), text(entry, "/objectRef/subresource"));
    Some(Request {
        operator: account.to_owned(),
        verb: text(entry, "/verb"),
        group: text(entry, "/objectRef/apiGroup"),
        resource: if part.is_empty() { resource } else { format!("{resource}/{part}") },
        namespace: text(entry, "/objectRef/namespace"),
        name: text(entry, "/objectRef/name"),
        time: text(entry, "/requestReceivedTimestamp"),
        allowed: entry["annotations"]["authorization.k8s.io/decision"] == "allow",
        code: entry["responseStatus"]["code"].as_u64().unwrap_or_default(),
    })
}

fn open() -> Result<File> {
    let path = std::env::var("E2E_AUDIT_LOG").context(
        "E2E_AUDIT_LOG is not set: the proofs from the audit log need the embedded cluster (`make e2e` without KUBE_CONTEXT)",
    )?;
    File::open(&path).with_context(|| path)
}
