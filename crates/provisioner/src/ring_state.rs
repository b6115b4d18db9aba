//! What this process remembers of each Cassandra. All of it can be found out again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cassandra::Credentials;
use desired::Refusal;
use k8s_openapi::ByteString;
use tokio::time;

use crate::checks::Checks;
use crate::pace::Pace;

/// What is remembered of one Cassandra.
#[derive(Default)]
pub struct RingState {
    /// The generation that a read from the API server has confirmed to be the newest.
    pub confirmed: Option<i64>,
    /// The login that was read last.
    pub login: Option<Credentials>,
    /// The login came from a watched Secret, so if that is missing in the cache it was deleted.
    pub login_is_watched: bool,
    /// The user's Secret with settings, as it was read last.
    pub settings: Option<Read>,
    /// Objects whose write was refused, by kind and name.
    pub refused: HashMap<String, Refused>,
    /// When a ring in use was last set up again, and what differs from how it was created, if anything.
    pub kept_up: Option<(Instant, Option<Refusal>)>,
    /// The superuser and the operator's keyspace are as they should be.
    pub set_up: bool,
    /// When setting it up last failed, and why.
    pub setup_failed: Option<(Instant, String)>,
    /// How often to check.
    pub pace: Pace,
    /// A pod that does not get created.
    pub missing: Option<Missing>,
    /// The last run of a container that stopped by itself, and why it did.
    pub ended: Option<(String, String)>,
    /// Results of the health checks.
    pub checks: Checks,
}

/// The settings in a Secret.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Its content; `None` if no Secret is named.
    pub text: Option<ByteString>,
    /// Its resource version.
    pub version: Option<String>,
}

/// What was read of a Secret with settings.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its name.
    pub name: String,
    /// When.
    pub since: Instant,
    /// What it has.
    pub settings: Settings,
}

/// A refused write of an object.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Generation of the Cassandra at that time.
    pub generation: Option<i64>,
    /// When.
    pub since: Instant,
    /// Why.
    pub why: Refusal,
}

/// A pod that does not exist.
#[derive(Clone, Debug)]
pub struct Missing {
    /// Its name.
    pub pod: String,
    /// When it was first missed.
    pub since: time::Instant,
    /// When its events were last read.
    pub asked: Option<time::Instant>,
    /// The reason found in them.
    pub why: Option<String>,
}

/// RingStates of all Cassandras, by uid. Clones share it.
#[derive(Clone, Default)]
pub struct RingStates(Arc<Mutex<HashMap<String, RingState>>>);

impl RingStates {
    /// Reads or changes the memory of a Cassandra, which begins empty.
    pub fn with<T>(&self, uid: &str, look: impl FnOnce(&mut RingState) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(all.entry(uid.to_owned()).or_default())
    }

    /// Like [`RingStates::with`], but returns `None` if nothing is remembered of the Cassandra.
    pub fn if_known<T>(&self, uid: &str, look: impl FnOnce(&mut RingState) -> T) -> Option<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(uid).map(look)
    }

    /// How many Cassandras are remembered.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Forgets Cassandras that do not exist any more. Returns what was remembered of them.
    pub fn keep(&self, there: impl Fn(&str) -> bool) -> Vec<RingState> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extract_if(|uid, _| !there(uid)).map(|(_, known)| known).collect()
    }

    /// Forgets a Cassandra. Returns what was remembered.
    pub fn forget(&self, uid: &str) -> Option<RingState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid)
    }
}
