//! Namespaces that are being deleted.
//!
//! The API server lets nothing new into them, and what was there goes one by one: each loss would wake a controller, which
//! would be refused once more. No right on namespaces is needed to know of it: the first refusal names the cause.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::Error;
use tokio::time::Instant;

/// How long a refusal is believed. A namespace of the same name may be made anew.
pub(crate) const BELIEVED: Duration = Duration::from_secs(30);

/// The namespaces that are known to be ending. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Ending(Arc<Mutex<HashMap<String, Instant>>>);

impl Ending {
    /// For how long nothing need be made in there; `None` if the namespace is not known to be ending.
    pub(crate) fn left(&self, namespace: &str) -> Option<Duration> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, until| *until > Instant::now());
        known.get(namespace).map(|until| until.duration_since(Instant::now()))
    }

    /// Whether the API server refuses because of it; if so, it is remembered.
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
