//! What this process knows of each Cassandra beyond what is in the cluster. All of it can be found out again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cassandra::Credentials;
use tokio::time;

use crate::checks::Checks;
use crate::error::Refusal;
use crate::pace::Pace;

/// What is known of one Cassandra.
#[derive(Default)]
pub struct Known {
    /// The generation that the API server itself has confirmed to be the newest.
    pub confirmed: Option<i64>,
    /// The login that was read last.
    pub login: Option<Credentials>,
    /// It was in a Secret that is watched, so its absence from the cache is a loss.
    pub login_is_watched: bool,
    /// Objects that could not be written, by kind and name.
    pub refused: HashMap<String, Refused>,
    /// When a ring was last looked at that is in use, and what is not any more as it was made, if anything.
    pub kept_up: Option<(Instant, Option<Refusal>)>,
    /// The superuser and the operator's keyspace are as they should be.
    pub settled: bool,
    /// When that was last tried in vain, and why.
    pub unsettled: Option<(Instant, String)>,
    /// How often to look.
    pub pace: Pace,
    /// A pod that is not made.
    pub missing: Option<Missing>,
    /// The run of a container that ended by itself, and why it did.
    pub ended: Option<(String, String)>,
    /// What the last checks said.
    pub checks: Checks,
}

/// That an object was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Generation of the Cassandra at that time.
    pub generation: Option<i64>,
    /// When.
    pub since: Instant,
    /// Why.
    pub why: Refusal,
}

/// A pod that is not there.
#[derive(Clone, Debug)]
pub struct Missing {
    /// Its name.
    pub pod: String,
    /// Since when.
    pub since: time::Instant,
    /// When the events were read last.
    pub asked: Option<time::Instant>,
    /// What they said.
    pub why: Option<String>,
}

/// What is known, by uid. Clones share it.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<HashMap<String, Known>>>);

impl Memory {
    /// Reads or changes what is known of a Cassandra.
    pub fn of<T>(&self, uid: &str, look: impl FnOnce(&mut Known) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(all.entry(uid.to_owned()).or_default())
    }

    /// As [`Memory::of`], unless the Cassandra has been forgotten.
    pub fn still<T>(&self, uid: &str, look: impl FnOnce(&mut Known) -> T) -> Option<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(uid).map(look)
    }

    /// How many Cassandras are known.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Forgets those that are not there any more. Returns what was known of them.
    pub fn keep(&self, there: impl Fn(&str) -> bool) -> Vec<Known> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extract_if(|uid, _| !there(uid)).map(|(_, known)| known).collect()
    }

    /// Forgets a Cassandra that is gone. Returns what was known.
    pub fn forget(&self, uid: &str) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid)
    }
}
