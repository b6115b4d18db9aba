use std::net::SocketAddr;
use std::time::Duration;

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError,
    MetadataError, NewSessionError, RequestAttemptError,
};

/// Why a node could not answer. The text names the node, what was attempted and, if there is one, a remedy. It never holds
/// a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection, or a broken one. The session is dropped.
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
    /// The node is fine, but too few of the required replicas took part.
    #[error("{address}: {doing}: {alive} of the {required} nodes needed are up and answer")]
    Unavailable {
        /// The node that was asked.
        address: SocketAddr,
        /// What was attempted.
        doing: &'static str,
        /// How many nodes took part.
        alive: i32,
        /// How many nodes are required.
        required: i32,
    },
    /// No answer in time. The session is dropped.
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
    /// Whether to drop the session, because its connection or its login is in doubt.
    pub(crate) fn ends_session(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Timeout { .. } | Error::Unauthorized { .. })
    }

    pub(crate) fn of_connecting(
        address: SocketAddr,
        username: Option<&str>,
        error: &NewSessionError,
    ) -> Self {
        match error {
            NewSessionError::MetadataError(MetadataError::ConnectionPoolError(error)) => {
                Self::of_connection(address, username, error)
            }
            error => Error::Unreachable { address, reason: error.to_string() },
        }
    }

    fn of_connection(address: SocketAddr, username: Option<&str>, error: &ConnectionPoolError) -> Self {
        let ConnectionPoolError::Broken { last_connection_error: error } = error else {
            return Error::Unreachable { address, reason: error.to_string() };
        };
        let ConnectionError::ConnectionSetupRequestError(setup) = error else {
            return Error::Unreachable { address, reason: error.to_string() };
        };
        let unauthorized = |reason: &str| Error::Unauthorized {
            address,
            username: username.map(str::to_owned),
            reason: reason.to_owned(),
        };
        match setup.get_error() {
            // A node that cannot read its own roles also answers "authentication error"; that is not a wrong
            // password and must not be taken for one.
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, reason)
                if !reason.starts_with("Unable to perform authentication") =>
            {
                unauthorized(reason)
            }
            ConnectionSetupRequestErrorKind::MissingAuthentication => unauthorized("a login is required"),
            ConnectionSetupRequestErrorKind::DbError(_, reason) => {
                Error::Refused { address, doing: "logging in", reason: reason.clone() }
            }
            other => Error::Unreachable { address, reason: other.to_string() },
        }
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
                // Sent instead of `Unavailable` while the failure detector still takes a dead replica for alive.
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
            ExecutionError::ConnectionPoolError(error) => Self::of_connection(address, username, &error),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_the_node_what_was_attempted_and_the_cause() {
        let address = SocketAddr::from(([10, 0, 0, 1], 9042));
        let unauthorized = |username: Option<&str>| Error::Unauthorized {
            address,
            username: username.map(str::to_owned),
            reason: "wrong password".into(),
        };
        let texts = [
            unauthorized(Some("admin")),
            unauthorized(None),
            Error::Unavailable { address, doing: "reading", alive: 2, required: 3 },
        ]
        .map(|error| error.to_string());
        let expected = [
            r#"Cassandra at 10.0.0.1:9042 refuses user "admin": wrong password"#,
            "Cassandra at 10.0.0.1:9042 refuses a connection without credentials: wrong password",
            "10.0.0.1:9042: reading: 2 of the 3 nodes needed are up and answer",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_refusal_in_time_by_the_ring_keeps_the_session() {
        let address = SocketAddr::from(([10, 0, 0, 1], 9042));
        let timeout = Error::Timeout { address, doing: "reading", after: Duration::from_secs(1) };
        let unavailable = Error::Unavailable { address, doing: "reading", alive: 2, required: 3 };
        assert_eq!([timeout, unavailable].map(|error| error.ends_session()), [true, false]);
    }
}
