//! The only CQL statements that change a ring: they set up the superuser, the replication of `system_auth` and the operator's
//! own keyspace.
//!
//! They run inside the reconcile, never in a task of their own: once a halt is answered, none of them can still be in flight.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::halt::WritePermit;
use cassandra::replication::{Change, Fewer};
use cassandra::{Credentials, Error, Replication, Sessions, keyspace, roles};
use desired::{DATACENTER, Resolved};
use tokio::sync::Semaphore;

/// Generous, because a login costs a busy node a bcrypt hash.
const TIMEOUT: Duration = Duration::from_secs(10);
const NO_ADDRESS: &str = "no pod has an address yet";

/// How many rings are set up at once, counted separately for first attempts and for retries. A ring that hangs blocks its
/// worker, and there must be a free worker to answer a halt.
const AT_ONCE: usize = 3;
/// Time limit of one attempt.
const LONGEST: Duration = Duration::from_mins(1);

/// Limits how many rings are set up at once. Retries have a limit of their own, so that they delay no new ring.
/// Clones share it.
#[derive(Clone)]
pub struct Turns {
    first: Arc<Semaphore>,
    again: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let turns = || Arc::new(Semaphore::new(AT_ONCE));
        Self { first: turns(), again: turns() }
    }
}

impl Turns {
    /// Runs `set_up` with a time limit; `None` if too many others are running. `again`: an earlier attempt has failed.
    pub async fn take<T>(
        &self,
        again: bool,
        set_up: impl Future<Output = Result<T, String>>,
    ) -> Option<Result<T, String>> {
        let turns = if again { &self.again } else { &self.first };
        let _turn = turns.try_acquire().ok()?;
        let bounded = tokio::time::timeout(LONGEST, set_up).await;
        Some(bounded.unwrap_or_else(|_| Err(format!("the ring did not answer within {LONGEST:?}"))))
    }
}

/// Sets up the ring. Can be repeated; if everything is done already, it costs three queries. Returns what has fewer copies than
/// it should and was not changed, because others may already use the ring.
pub async fn set_up(
    _permit: WritePermit<'_>,
    resolved: &Resolved<'_>,
    sessions: &Sessions,
    addresses: &[SocketAddr],
    credentials: Option<&Credentials>,
    fewer: Fewer,
) -> Result<Vec<String>, String> {
    let (address, mut flaws) = match credentials {
        Some(credentials) => secure(resolved, sessions, addresses, credentials, fewer).await?,
        None => (*addresses.first().ok_or(NO_ADDRESS)?, vec![]),
    };
    let node = sessions.node(address, credentials, TIMEOUT).await.map_err(|error| error.to_string())?;
    let own =
        keyspace::ensure(&node, &copies(resolved.nodes()), fewer).await.map_err(|error| error.to_string())?;
    if let Change::Fewer(flaw) = own {
        flaws.push(flaw);
    }
    Ok(flaws)
}

/// Uses the first node that accepts one of the logins: after a change of replication not every node has every role.
async fn secure(
    resolved: &Resolved<'_>,
    sessions: &Sessions,
    addresses: &[SocketAddr],
    credentials: &Credentials,
    fewer: Fewer,
) -> Result<(SocketAddr, Vec<String>), String> {
    let mut refused = NO_ADDRESS.to_owned();
    for &address in addresses {
        match roles::secure(sessions, address, credentials, &logins(resolved), fewer).await {
            Ok(outcome) => return Ok((address, outcome.fewer.into_iter().collect())),
            Err(error @ Error::Unauthorized { .. }) => refused = error.to_string(),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(refused)
}

/// Replication of `system_auth` (logins and permissions): three copies, or as many as there are nodes.
fn logins(resolved: &Resolved) -> Replication {
    copies(resolved.nodes().min(3))
}

fn copies(nodes: i32) -> Replication {
    let copies = u32::try_from(nodes).unwrap_or(1);
    Replication([(DATACENTER.to_owned(), copies)].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn frozen_rings_hold_up_a_few_workers_only_and_not_for_ever() {
        let turns = Turns::default();
        let frozen = || async { std::future::pending::<Result<(), String>>().await };
        let setting_up: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.take(true, frozen()).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            turns.take(true, async { Ok(()) }).await,
            None,
            "it comes back later, and its worker is free"
        );
        assert_eq!(
            turns.take(false, async { Ok(()) }).await,
            Some(Ok(())),
            "a new ring is held up by none of them"
        );
        for one in setting_up {
            assert_eq!(one.await.unwrap(), Some(Err("the ring did not answer within 60s".to_owned())));
        }
        assert_eq!(turns.take(true, async { Ok(()) }).await, Some(Ok(())));
    }
}
