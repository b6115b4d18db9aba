//! The only CQL that alters a ring: the superuser, the copies of logins, the operator's own keyspace.
//!
//! It runs in the reconcile itself, never beside it: once a halt is answered, nothing of it can be in flight.

use std::net::SocketAddr;
use std::time::Duration;

use cassandra::{Credentials, Error, Sessions, keyspace, roles};

use crate::plan::Plan;

/// A login on a busy node takes a bcrypt hash.
const TIMEOUT: Duration = Duration::from_secs(10);
const NO_ADDRESS: &str = "no pod has an address yet";

/// Makes the ring as it should be before anybody uses it. May be repeated; when all is done it asks three questions.
pub async fn settle(
    plan: &Plan<'_>,
    sessions: &Sessions,
    addresses: &[SocketAddr],
    credentials: Option<&Credentials>,
) -> Result<(), String> {
    let address = match credentials {
        Some(credentials) => secure(plan, sessions, addresses, credentials).await?,
        None => *addresses.first().ok_or(NO_ADDRESS)?,
    };
    let node = sessions.node(address, credentials, TIMEOUT).await.map_err(|error| error.to_string())?;
    keyspace::ensure(&node, &plan.everywhere()).await.map_err(|error| error.to_string())?;
    Ok(())
}

/// By the first node that knows one of the logins: after a change of replication not every node knows each role.
async fn secure(
    plan: &Plan<'_>,
    sessions: &Sessions,
    addresses: &[SocketAddr],
    credentials: &Credentials,
) -> Result<SocketAddr, String> {
    let mut refused = NO_ADDRESS.to_owned();
    for &address in addresses {
        match roles::secure(sessions, address, credentials, &plan.system_auth()).await {
            Ok(_) => return Ok(address),
            Err(error @ Error::Unauthorized { .. }) => refused = error.to_string(),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(refused)
}
