use std::net::SocketAddr;
use std::time::Duration;

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError,
    MetadataError, NewSessionError, RequestAttemptError,
};

/// Why a node could not answer. The text names the node, what was attempted and, where there is something to do,
/// what; it never holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection, or a connection that broke. The session is forgotten.
    #[error("cannot reach Cassandra at {address}: {reason}")]
    Unreachable {
        /// The node that was asked.
        address: SocketAddr,
        /// The driver's words.
        reason: String,
    },
    /// The login or the permission was refused.
    #[error("Cassandra at {address} refuses {user}: {reason}", user = user(.username.as_deref()))]
    Unauthorized {
        /// The node that was asked.
        address: SocketAddr,
        /// Who was refused; none means a connection without credentials.
        username: Option<String>,
        /// The server's words.
        reason: String,
    },
    /// The node is fine, but of the replicas that had to take part too few did.
    #[error("{address}: {doing}: {alive} of the {required} nodes needed are up and answer")]
    Unavailable {
        /// The node that was asked.
        address: SocketAddr,
        /// What was attempted.
        doing: &'static str,
        /// How many nodes took part.
        alive: i32,
        /// How many nodes had to.
        required: i32,
    },
    /// No answer in time. The session is forgotten.
    #[error(
        "{address}: {doing}: no answer within {after:?}; this node, or one that it waits for, is overloaded, paused or cut off"
    )]
    Timeout {
        /// The node that was asked.
        address: SocketAddr,
        /// What was attempted.
        doing: &'static str,
        /// How long the answer was waited for.
        after: Duration,
    },
    /// The node understood and said no.
    #[error("{address}: {doing}: Cassandra says: {reason}")]
    Refused {
        /// The node that was asked.
        address: SocketAddr,
        /// What was attempted.
        doing: &'static str,
        /// The server's words.
        reason: String,
    },
    /// The answer was not what this version of the operator expects.
    #[error("{address}: {doing}: unexpected answer: {reason}")]
    Protocol {
        /// The node that was asked.
        address: SocketAddr,
        /// What was attempted.
        doing: &'static str,
        /// What was wrong with it.
        reason: String,
    },
}

fn user(username: Option<&str>) -> String {
    username.map_or_else(|| "a connection without credentials".to_owned(), |name| format!("user {name:?}"))
}

impl Error {
    /// Whether the connection itself is in doubt, so that its session must not be used again.
    pub(crate) fn is_connection_lost(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Timeout { .. })
    }

    pub(crate) fn of_connecting(
        address: SocketAddr,
        username: Option<&str>,
        error: &NewSessionError,
    ) -> Self {
        if let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(
            ConnectionPoolError::Broken {
                last_connection_error: ConnectionError::ConnectionSetupRequestError(setup),
            },
        )) = error
        {
            let username = username.map(str::to_owned);
            match setup.get_error() {
                // A node that cannot read its own roles also answers "authentication error"; that is not a wrong
                // password and must not be taken for one.
                ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, reason)
                    if !reason.starts_with("Unable to perform authentication") =>
                {
                    return Error::Unauthorized { address, username, reason: reason.clone() };
                }
                ConnectionSetupRequestErrorKind::MissingAuthentication => {
                    return Error::Unauthorized { address, username, reason: "a login is required".into() };
                }
                ConnectionSetupRequestErrorKind::DbError(_, reason) => {
                    return Error::Refused { address, doing: "logging in", reason: reason.clone() };
                }
                _ => {}
            }
        }
        Error::Unreachable { address, reason: error.to_string() }
    }

    pub(crate) fn of_statement(
        address: SocketAddr,
        username: Option<&str>,
        doing: &'static str,
        error: ExecutionError,
    ) -> Self {
        match error {
            ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, reason)) => match error {
                DbError::Unavailable { alive, required, .. } => {
                    Error::Unavailable { address, doing, alive, required }
                }
                // The failure detector still believes in a node that does not answer any more.
                DbError::ReadTimeout { received, required, .. }
                | DbError::WriteTimeout { received, required, .. }
                | DbError::ReadFailure { received, required, .. }
                | DbError::WriteFailure { received, required, .. } => {
                    Error::Unavailable { address, doing, alive: received, required }
                }
                DbError::Unauthorized | DbError::AuthenticationError => {
                    Error::Unauthorized { address, username: username.map(str::to_owned), reason }
                }
                _ => Error::Refused { address, doing, reason },
            },
            ExecutionError::RequestTimeout(after) => Error::Timeout { address, doing, after },
            ExecutionError::ConnectionPoolError(error) => {
                Error::Unreachable { address, reason: error.to_string() }
            }
            ExecutionError::EmptyPlan => {
                Error::Unreachable { address, reason: "the connection is gone".into() }
            }
            ExecutionError::LastAttemptError(RequestAttemptError::BrokenConnectionError(error)) => {
                Error::Unreachable { address, reason: error.to_string() }
            }
            error => Error::Protocol { address, doing, reason: error.to_string() },
        }
    }
}
