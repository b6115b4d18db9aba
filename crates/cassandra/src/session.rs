//! One session per node. The driver spreads queries over the whole ring by default. Here each session is restricted to
//! one address, so that a query about a node is answered by that node and never waits for another one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::policies::host_filter::AllowListHostFilter;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::response::query_result::QueryResult;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;

use crate::{Credentials, Error};

/// A pod that does not answer a SYN within this time is not going to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Keeps one session per node address and reuses it between queries: a login costs the node a bcrypt hash.
/// Sessions that fail are dropped at once, so that nothing keeps dialling an address that is gone.
#[derive(Clone, Default)]
pub struct Sessions {
    slots: Arc<Mutex<HashMap<SocketAddr, Arc<Slot>>>>,
}

/// The slot of one address: at most one session, built by one caller at a time.
#[derive(Default)]
struct Slot {
    building: tokio::sync::Mutex<()>,
    open: Mutex<Option<Open>>,
}

struct Open {
    credentials: Option<Credentials>,
    session: Arc<Session>,
}

/// One session to exactly one node.
pub struct Node {
    address: SocketAddr,
    username: Option<String>,
    timeout: Duration,
    session: Arc<Session>,
    /// The slot that keeps the session, to drop it there when it is broken. `None` if the session is not kept.
    slot: Option<Arc<Slot>>,
}

impl Sessions {
    /// No sessions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The node at `address`, through an existing session or a new one. `timeout` bounds the connecting and then
    /// every statement sent through the returned node.
    pub async fn node(
        &self,
        address: SocketAddr,
        credentials: Option<&Credentials>,
        timeout: Duration,
    ) -> Result<Arc<Node>, Error> {
        let slot = Arc::clone(lock(&self.slots).entry(address).or_default());
        let session = bounded(address, timeout, slot.session(address, credentials)).await?;
        Ok(Arc::new(Node::new(address, credentials, timeout, session, Some(slot))))
    }

    /// The addresses that have a session, or for which one was tried.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        lock(&self.slots).keys().copied().collect()
    }

    /// Drops the sessions of all addresses for which `keep` is false: nodes that are gone.
    pub fn retain(&self, keep: impl Fn(&SocketAddr) -> bool) {
        lock(&self.slots).retain(|address, _| keep(address));
    }

    /// Drops the session of one address.
    pub fn forget(&self, address: &SocketAddr) {
        lock(&self.slots).remove(address);
    }
}

impl Slot {
    async fn session(
        &self,
        address: SocketAddr,
        credentials: Option<&Credentials>,
    ) -> Result<Arc<Session>, Error> {
        let _building = self.building.lock().await;
        if let Some(open) = &*lock(&self.open)
            && open.credentials.as_ref() == credentials
        {
            return Ok(Arc::clone(&open.session));
        }
        let session = Arc::new(connect(address, credentials).await?);
        *lock(&self.open) = Some(Open { credentials: credentials.cloned(), session: Arc::clone(&session) });
        Ok(session)
    }

    /// Drops `lost`, unless a new session has already replaced it.
    fn drop_session(&self, lost: &Arc<Session>) {
        let mut open = lock(&self.open);
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(&open.session, lost)) {
            *open = None;
        }
    }
}

impl Node {
    fn new(
        address: SocketAddr,
        credentials: Option<&Credentials>,
        timeout: Duration,
        session: Arc<Session>,
        slot: Option<Arc<Slot>>,
    ) -> Self {
        let username = credentials.map(|credentials| credentials.username.clone());
        Self { address, username, timeout, session, slot }
    }

    /// Opens a session that is not shared and ends with the returned node.
    pub(crate) async fn connect(
        address: SocketAddr,
        credentials: &Credentials,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let session = bounded(address, timeout, connect(address, Some(credentials))).await?;
        Ok(Self::new(address, Some(credentials), timeout, Arc::new(session), None))
    }

    /// The address that all queries to this node go to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs one statement. `doing` describes the attempt in errors.
    pub(crate) async fn run(
        &self,
        doing: &'static str,
        cql: &str,
        consistency: Consistency,
    ) -> Result<QueryResult, Error> {
        let mut statement = Statement::new(cql);
        statement.set_consistency(consistency);
        statement.set_request_timeout(Some(self.timeout));
        self.session.query_unpaged(statement, ()).await.map_err(|error| {
            let error = Error::of_statement(self.address, self.username.as_deref(), doing, error);
            if let Some(slot) = self.slot.as_ref().filter(|_| error.ends_session()) {
                slot.drop_session(&self.session);
            }
            error
        })
    }

    /// Runs one query and reads all its rows.
    pub(crate) async fn rows<R>(
        &self,
        doing: &'static str,
        cql: &str,
        consistency: Consistency,
    ) -> Result<Vec<R>, Error>
    where
        R: for<'row> DeserializeRow<'row, 'row>,
    {
        let rows = self
            .run(doing, cql, consistency)
            .await?
            .into_rows_result()
            .map_err(|error| self.unexpected(doing, &error))?;
        let rows = rows.rows::<R>().map_err(|error| self.unexpected(doing, &error))?;
        rows.collect::<Result<_, _>>().map_err(|error| self.unexpected(doing, &error))
    }

    /// An answer that could not be understood.
    pub(crate) fn unexpected(&self, doing: &'static str, reason: &dyn ToString) -> Error {
        Error::Protocol { address: self.address, doing, reason: reason.to_string() }
    }
}

async fn connect(address: SocketAddr, credentials: Option<&Credentials>) -> Result<Session, Error> {
    let unreachable = |reason: String| Error::Unreachable { address, reason };
    let only_this = AllowListHostFilter::new([address]).map_err(|error| unreachable(error.to_string()))?;
    // The caller decides what to repeat and when; a silent retry would double every wait.
    let profile = ExecutionProfile::builder().retry_policy(Arc::new(FallthroughRetryPolicy::new())).build();
    let mut builder = SessionBuilder::new()
        .known_node_addr(address)
        .host_filter(Arc::new(only_this))
        .pool_size(PoolSize::PerHost(std::num::NonZeroUsize::MIN))
        .connection_timeout(CONNECT_TIMEOUT)
        .default_execution_profile_handle(profile.into_handle())
        .fetch_schema_metadata(false)
        .auto_await_schema_agreement(false);
    if let Some(Credentials { username, password }) = credentials {
        builder = builder.user(username, password);
    }
    let username = credentials.map(|credentials| credentials.username.as_str());
    builder.build().await.map_err(|error| Error::of_connecting(address, username, &error))
}

async fn bounded<T>(
    address: SocketAddr,
    timeout: Duration,
    connecting: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(timeout, connecting).await.unwrap_or(Err(Error::Timeout {
        address,
        doing: "connecting",
        after: timeout,
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
