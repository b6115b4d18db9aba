//! Why a reconcile failed.

use operator::{Failure, Retry, WriteError};
use thiserror::Error;

/// Why a reconcile failed. A problem that only the user can solve is not an error but a [`Refusal`].
#[derive(Debug, Error)]
pub enum Error {
    /// Something could not be changed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Something could not be read.
    #[error("cannot read {what}")]
    Read {
        /// Kind, namespace and name.
        what: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// The Cassandra in the cache is older than what the API server has.
    #[error("the picture of Cassandra {0} is outdated")]
    Outdated(String),
    /// An object of this name belongs to somebody else.
    #[error("{what} exists and does not belong to this Cassandra; delete or rename it")]
    Foreign {
        /// Kind, namespace and name.
        what: String,
    },
}

impl Failure for Error {
    fn reason(&self) -> &'static str {
        match self {
            Self::Write(error) => error.reason(),
            Self::Read { .. } => "ReadFailed",
            Self::Outdated(_) => "Outdated",
            Self::Foreign { .. } => "NameTaken",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Write(error) => error.retry(),
            Self::Outdated(_) => Retry::Soon,
            Self::Read { .. } | Self::Foreign { .. } => Retry::Backoff,
        }
    }
}
