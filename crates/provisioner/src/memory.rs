//! What this process knows of each Cassandra beyond what is in the cluster. All of it can be found out again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cassandra::Credentials;

use crate::health::Checks;

/// What is known of one Cassandra.
#[derive(Default)]
pub struct Known {
    /// The generation that the API server itself has confirmed to be the newest.
    pub confirmed: Option<i64>,
    /// The login from a Secret that is not watched, because it is the user's.
    pub login: Option<Credentials>,
    /// The superuser and the operator's keyspace are as they should be.
    pub settled: bool,
    /// What the last checks said.
    pub checks: Checks,
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

    /// Forgets a Cassandra that is gone. Returns what was known.
    pub fn forget(&self, uid: &str) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid)
    }
}
