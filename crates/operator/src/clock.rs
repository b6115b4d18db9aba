//! The time of day, handed in so that tests can set it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Tells the time. Waiting is not measured with it: a wall clock may jump.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Milliseconds since the epoch, where time stands still until a test moves it.
    fixed: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `time` until [`Clock::advance`] moves it.
    pub fn fixed(time: Timestamp) -> Self {
        Self { fixed: Some(Arc::new(AtomicI64::new(time.as_millisecond()))) }
    }

    /// Moves a fixed clock, and all its clones, by that many seconds; a system clock stays as it is.
    pub fn advance(&self, seconds: i64) {
        if let Some(fixed) = &self.fixed {
            fixed.fetch_add(seconds * 1000, Ordering::SeqCst);
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.fixed {
            Some(fixed) => Timestamp::from_millisecond(fixed.load(Ordering::SeqCst)).unwrap_or_default(),
            None => Timestamp::now(),
        }
    }

    /// The time now, as Kubernetes objects carry it.
    pub fn time(&self) -> Time {
        Time(self.now())
    }
}
