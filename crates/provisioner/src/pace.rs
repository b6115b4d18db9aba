//! How often the nodes of a Cassandra are checked.

use std::time::Duration;

use crate::observe::PodSeen;

/// Interval while something changes.
const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// Slows down while nothing changes, so that a ring that does not answer is not asked every few seconds for ever.
#[derive(Default)]
pub struct Pace {
    seen: Option<(Option<i64>, Vec<PodSeen>)>,
    calm: u32,
}

impl Pace {
    /// Resets the interval if the spec or a pod has changed. Returns whether it has.
    pub fn look(&mut self, generation: Option<i64>, pods: &[PodSeen]) -> bool {
        let now = (generation, pods);
        let changed = self.seen.as_ref().is_none_or(|(before, seen)| (*before, seen.as_slice()) != now);
        if changed {
            self.seen = Some((generation, pods.to_vec()));
            self.calm = 0;
        }
        changed
    }

    /// Counts a check or an attempt; `same`: with the same result as before.
    pub fn tried(&mut self, same: bool) {
        self.calm = if same { self.calm.saturating_add(1) } else { 0 };
    }

    /// Interval until the next check; `period` is the interval of a ready ring.
    pub fn every(&self, ready: bool, period: Duration) -> Duration {
        let slower = ON_ITS_WAY.saturating_mul(2_u32.saturating_pow(self.calm));
        if ready { period } else { period.min(slower) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_does_not_answer_is_asked_ever_less_often_until_something_changes() {
        const PERIOD: Duration = Duration::from_secs(20);
        let mut pace = Pace::default();
        let pod = |ready| PodSeen { name: "db-0".to_owned(), ready, ..PodSeen::default() };
        assert!(pace.look(Some(1), &[pod(false)]));
        let mut waits = vec![];
        for _ in 0..5 {
            assert!(!pace.look(Some(1), &[pod(false)]));
            waits.push(pace.every(false, PERIOD).as_secs());
            pace.tried(true);
        }
        assert_eq!(waits, [3, 6, 12, 20, 20]);
        assert!(pace.look(Some(1), &[pod(true)]), "of a pod");
        assert_eq!(pace.every(false, PERIOD).as_secs(), 3);
        pace.tried(true);
        assert!(pace.look(Some(2), &[pod(true)]), "of the spec");
        assert_eq!(pace.every(false, PERIOD).as_secs(), 3);
        (0..100).for_each(|_| pace.tried(true));
        assert_eq!(pace.every(false, PERIOD), PERIOD);
        assert_eq!(Pace::default().every(true, PERIOD), PERIOD);
        assert_eq!(
            Pace::default().every(false, Duration::from_secs(1)).as_secs(),
            1,
            "no less often than asked for"
        );
    }
}
