//! Namespaces that are being deleted.
//!
//! The API server refuses to create anything in them, and deletes their objects one by one. Each deletion would trigger a
//! controller, which would be refused again. The first refusal names the cause, so no right to read namespaces is needed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::Error;
use tokio::time::Instant;

/// How long a refusal is remembered. A namespace of the same name may be created again.
pub(crate) const BELIEVED: Duration = Duration::from_secs(30);

/// The namespaces that are known to be ending. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Ending(Arc<Mutex<HashMap<String, Instant>>>);

impl Ending {
    /// How long to create nothing in the namespace; `None` if it is not known to be ending.
    pub(crate) fn left(&self, namespace: &str) -> Option<Duration> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, until| *until > Instant::now());
        known.get(namespace).map(|until| until.duration_since(Instant::now()))
    }

    /// Whether the API server refused because the namespace is ending; if so, this is remembered.
    pub(crate) fn is_why(&self, namespace: &str, error: &Error) -> bool {
        let Error::Api(status) = error else { return false };
        let mut causes = status.details.iter().flat_map(|details| &details.causes);
        let ending = status.code == 403 && causes.any(|cause| cause.reason == "NamespaceTerminating");
        if ending {
            let until = Instant::now() + BELIEVED;
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned(), until);
        }
        ending
    }
}
