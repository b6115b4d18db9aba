//! The wall clock, handed in so that tests can set it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

/// A wall clock. Never measure a wait with it, since a wall clock may jump.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    /// Milliseconds since the epoch: time stands still until a test moves it.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands at `time` until [`Clock::advance`] moves it.
    pub fn fixed(time: Timestamp) -> Self {
        Self(Kind::Fixed(Arc::new(AtomicI64::new(time.as_millisecond()))))
    }

    /// Moves a fixed clock, and all its clones, by that many seconds; a system clock stays as it is.
    pub fn advance(&self, seconds: i64) {
        if let Kind::Fixed(fixed) = &self.0 {
            fixed.fetch_add(seconds * 1000, Ordering::SeqCst);
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::Fixed(fixed) => {
                Timestamp::from_millisecond(fixed.load(Ordering::SeqCst)).unwrap_or_default()
            }
            Kind::System => Timestamp::now(),
        }
    }

    /// Converts an instant of this process to wall-clock time, by the clock as it is now. With a fixed clock it is the epoch.
    pub fn at(&self, moment: Instant) -> Timestamp {
        match &self.0 {
            Kind::Fixed(_) => Timestamp::UNIX_EPOCH,
            Kind::System => {
                let age = SignedDuration::try_from(moment.elapsed()).ok();
                age.and_then(|age| self.now().checked_sub(age).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
            }
        }
    }

    /// The time now, as Kubernetes objects carry it.
    pub fn time(&self) -> Time {
        Time(self.now())
    }
}
