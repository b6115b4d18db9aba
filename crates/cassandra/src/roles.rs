//! Who may log in.

use std::net::SocketAddr;
use std::time::Duration;

use scylla::statement::Consistency;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use uuid::Uuid;

use crate::cql::{identifier, literal};
use crate::replication::{self, Change, Fewer, Replication};
use crate::{Credentials, Error, Node, Sessions};

/// The superuser that every new Cassandra creates. The password is the name.
const DEFAULT: &str = "cassandra";

/// Schema changes and bcrypt on a busy node take their time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What [`secure`] changed or found. The default value means that there was nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The superuser was created, by logging in as the default one.
    pub created: bool,
    /// `system_auth` got another replication and its rows were copied to the new replicas.
    pub replicated: bool,
    /// The default superuser was locked out.
    pub locked: bool,
    /// `system_auth` has fewer copies than requested and was left so: what is wrong and how to correct it.
    pub fewer: Option<String>,
}

/// Makes `credentials` the only superuser login, with `system_auth` replicated at least as given.
///
/// May be interrupted and repeated at any point: each step starts from what the node reports, and the default role is
/// locked last, when all replicas are known to hold the new one. When all is done, a call costs two queries: one of
/// `system_schema.keyspaces`, and one of `system_auth.roles` at ALL, which also repairs a replica that lacks a role.
///
/// After [`Error::Unauthorized`], repeat the call through another node: right after a role was created or the replication
/// was changed, a node may lack roles that another one has, and for 2 s it caches a changed password. A new node creates
/// the default role some 10 s after its start.
pub async fn secure(
    sessions: &Sessions,
    address: SocketAddr,
    credentials: &Credentials,
    replication: &Replication,
    fewer: Fewer,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let node = match sessions.node(address, Some(credentials), TIMEOUT).await {
        Err(refused @ Error::Unauthorized { .. }) => {
            create(address, credentials).await.map_err(|error| match error {
                // Neither login works: report the user's own, not that of the default role.
                Error::Unauthorized { .. } => refused,
                other => other,
            })?;
            outcome.created = true;
            sessions.node(address, Some(credentials), TIMEOUT).await?
        }
        other => other?,
    };
    match replication::ensure(&node, "system_auth", replication, fewer).await? {
        Change::Unchanged => {}
        Change::Fewer(flaw) => outcome.fewer = Some(flaw),
        Change::Created | Change::Altered => {
            replication::repair(&node, "system_auth").await?;
            outcome.replicated = true;
        }
    }
    if default_is_open(&node, credentials, outcome.created).await? {
        lock_default(&node).await?;
        outcome.locked = true;
    }
    if outcome != Outcome::default() {
        tracing::info!(node = %address, user = credentials.username, ?outcome, "superuser secured");
    }
    Ok(outcome)
}

/// Creates the superuser, by logging in as the default one. The statements repeat each other, so that a role left by an
/// earlier try, perhaps with another password, ends up the same.
async fn create(address: SocketAddr, credentials: &Credentials) -> Result<(), Error> {
    let default = Credentials { username: DEFAULT.into(), password: DEFAULT.into() };
    let node = Node::connect(address, &default, TIMEOUT).await?;
    let Credentials { username, password } = credentials;
    let (role, password_is) = (identifier(username), format!("PASSWORD = {}", literal(password)));
    if username == DEFAULT {
        // Cassandra lets no role set its own SUPERUSER option, not even to the value that it has.
        return run_secret(&node, &format!("ALTER ROLE {role} WITH {password_is}"), password).await;
    }
    let options = format!("{role} WITH {password_is} AND LOGIN = true AND SUPERUSER = true");
    run_secret(&node, &format!("CREATE ROLE IF NOT EXISTS {options}"), password).await?;
    run_secret(&node, &format!("ALTER ROLE {options}"), password).await
}

/// Whether anybody can still log in as the default role. Reading the roles at ALL also copies them to all replicas. A node
/// that is down does not matter once all is done. Before the default role is locked it does: when it comes back, a node
/// must know the new role, not only the default one.
async fn default_is_open(node: &Node, credentials: &Credentials, created: bool) -> Result<bool, Error> {
    const ROLES: &str = "SELECT role, can_login, is_superuser FROM system_auth.roles";
    let roles = |consistency| {
        node.rows::<(String, Option<bool>, Option<bool>)>("reading all roles", ROLES, consistency)
    };
    let (roles, on_all_replicas) = match roles(Consistency::All).await {
        Err(error @ Error::Unavailable { .. }) => (roles(Consistency::LocalQuorum).await?, Err(error)),
        other => (other?, Ok(())),
    };
    let usable = |flag: &Option<bool>| flag.unwrap_or(false);
    let open = credentials.username != DEFAULT
        && roles
            .iter()
            .any(|(role, login, superuser)| role == DEFAULT && (usable(login) || usable(superuser)));
    if open || created {
        on_all_replicas?;
    }
    Ok(open)
}

/// Locks the role instead of dropping it: a node that finds no role at all when it starts would create the default one again.
async fn lock_default(node: &Node) -> Result<(), Error> {
    let password = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let role = identifier(DEFAULT);
    let statement = format!(
        "ALTER ROLE {role} WITH PASSWORD = {} AND LOGIN = false AND SUPERUSER = false",
        literal(&password)
    );
    run_secret(node, &statement, &password).await
}

/// Runs a statement that holds a password, and keeps the password out of the driver's traces and of errors.
async fn run_secret(node: &Node, statement: &str, password: &str) -> Result<(), Error> {
    let run = node.run("changing a role", statement, Consistency::LocalQuorum);
    run.with_subscriber(NoSubscriber::new()).await.map(drop).map_err(|error| match error {
        Error::Refused { address, doing, reason } if reason.contains(password) => {
            Error::Refused { address, doing, reason: "a message that repeats the password".into() }
        }
        other => other,
    })
}
