//! Why a write did not happen, in words for the person on call.

use std::fmt;

use kube::ResourceExt;
use thiserror::Error;

use crate::{Failure, Object, Retry};

/// What was asked of the API server: verb, kind and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// `apply`, `create`, `update status of`, `patch`, `delete` or `evict`.
    pub verb: &'static str,
    /// Kind of the object.
    pub kind: String,
    /// Namespace of the object; empty for a cluster-scoped one.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

impl Request {
    pub(crate) fn new<K: Object>(verb: &'static str, object: &K) -> Self {
        Self {
            verb,
            kind: K::kind(&()).into_owned(),
            namespace: object.meta().namespace.clone().unwrap_or_default(),
            name: object.name_any(),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, kind, namespace, name } = self;
        if namespace.is_empty() {
            write!(f, "{verb} {kind} {name}")
        } else {
            write!(f, "{verb} {kind} {namespace}/{name}")
        }
    }
}

/// Why a write did not happen.
#[derive(Debug, Error)]
pub enum WriteError {
    /// This replica does not hold the lease (any more), so it must not write.
    #[error("cannot {request}: this replica is not the leader")]
    NotLeader {
        /// What was asked.
        request: Request,
    },
    /// The object has changed since the decision to write was made.
    #[error("cannot {request}: it has changed meanwhile ({message})")]
    Conflict {
        /// What was asked.
        request: Request,
        /// What the server said.
        message: String,
    },
    /// The server understood and said no.
    #[error("cannot {request}: refused ({message})")]
    Refused {
        /// What was asked.
        request: Request,
        /// HTTP status; 0 if it was never sent.
        code: u16,
        /// What the server said.
        message: String,
    },
    /// The namespace is being deleted, and the request would create something in it.
    #[error("cannot {request}: its namespace is being deleted")]
    NamespaceEnding {
        /// What was asked.
        request: Request,
    },
    /// No response, or one that does not say whether the write was done.
    #[error("cannot {request}: no answer from the API server ({message})")]
    Unavailable {
        /// What was asked.
        request: Request,
        /// What went wrong on the way.
        message: String,
    },
}

impl Failure for WriteError {
    fn reason(&self) -> &'static str {
        match self {
            Self::NotLeader { .. } => "NotLeader",
            Self::Conflict { .. } => "Conflict",
            Self::Refused { .. } => "WriteRefused",
            Self::NamespaceEnding { .. } => "NamespaceTerminating",
            Self::Unavailable { .. } => "ApiServerUnavailable",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NotLeader { .. } | Self::Conflict { .. } => Retry::Soon,
            Self::NamespaceEnding { .. } => Retry::Quietly,
            // A quota, a webhook or a missing permission can change without a change of the object.
            Self::Refused { .. } | Self::Unavailable { .. } => Retry::Backoff,
        }
    }
}
