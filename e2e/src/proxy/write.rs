//! A parsed request that changes something.

use std::fmt;

use http::Method;
use http::request::Parts;
use serde_json::Value;

/// A request that changes something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Write {
    /// From 1, in the order in which they came.
    pub number: usize,
    /// Such as `patch`.
    pub verb: &'static str,
    /// Such as `petsets` or `cassandras/status`.
    pub resource: String,
    /// Namespace of the object; empty for a cluster-scoped one.
    pub namespace: String,
    /// Name of the object; empty for one that is created.
    pub name: String,
    /// What was sent.
    pub body: Value,
    /// HTTP status of the response; `None` if the request was not forwarded, or before the response.
    pub status: Option<u16>,
}

impl Write {
    /// `None` for a read, for a dry run, which stores nothing, and for the lease.
    pub(super) fn of(parts: &Parts, body: &[u8]) -> Option<Self> {
        if parts.uri.query().is_some_and(|query| query.contains("dryRun=All")) {
            return None;
        }
        let verb = match parts.method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => return None,
        };
        let (namespace, resource, name) = split(parts.uri.path());
        let body = serde_json::from_slice(body).unwrap_or_default();
        let write = Self { verb, resource, namespace, name, body, ..Self::default() };
        (write.resource != "leases").then_some(write)
    }

    /// The value that it sets at this path, if it is a JSON patch that does.
    pub fn value(&self, path: &str) -> Option<&Value> {
        let mut operations = self.body.as_array().into_iter().flatten();
        operations.find(|operation| operation["path"] == path).map(|operation| &operation["value"])
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, verb, resource, name, .. } = self;
        write!(f, "{number}: {verb} {resource} {name}")
    }
}

/// Namespace, resource with subresource, and name, from a path such as `/api/v1/namespaces/n/pods/p/eviction`.
fn split(path: &str) -> (String, String, String) {
    let mut words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    words.drain(..words.len().min(if path.starts_with("/apis/") { 3 } else { 2 }));
    let namespaced = words.len() > 2 && words[0] == "namespaces";
    let namespace = if namespaced { words.drain(..2).nth(1).unwrap_or_default() } else { "" };
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let resource = if word(2).is_empty() { word(0).to_owned() } else { format!("{}/{}", word(0), word(2)) };
    (namespace.to_owned(), resource, word(1).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart() {
        for (path, expected) in [
            ("/api/v1/namespaces/n/pods/p/eviction", ["n", "pods/eviction", "p"]),
            ("/apis/kubedb.com/v1alpha2/namespaces/n/cassandras/c", ["n", "cassandras", "c"]),
            ("/apis/kubedb.com/v1alpha2/namespaces/n/cassandras/c/status", ["n", "cassandras/status", "c"]),
            ("/api/v1/namespaces/n/events", ["n", "events", ""]),
            ("/api/v1/namespaces/n", ["", "namespaces", "n"]),
            ("/version", ["", "", ""]),
        ] {
            let (namespace, resource, name) = split(path);
            assert_eq!([namespace.as_str(), &resource, &name], expected, "{path}");
        }
    }
}
