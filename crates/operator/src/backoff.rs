//! How long to wait before trying again.

use std::time::Duration;

use rand::Rng;

/// First wait after a failure.
pub(crate) const FIRST: Duration = Duration::from_secs(1);
/// First wait after a conflict: the watch is about to bring the newer object.
pub(crate) const CONFLICT: Duration = Duration::from_millis(200);
/// No wait is longer.
pub(crate) const LONGEST: Duration = Duration::from_mins(5);

/// The wait after the `failures`-th failure in a row: doubles from `first` up to five minutes.
pub(crate) fn delay(first: Duration, failures: u32) -> Duration {
    let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).and_then(|factor| first.checked_mul(factor));
    doubled.map_or(LONGEST, |delay| delay.min(LONGEST))
}

/// Up to a tenth longer, so that objects that failed together are not retried together.
pub(crate) fn jitter(delay: Duration) -> Duration {
    delay.mul_f64(rand::rng().random_range(1.0..1.1))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::first(1, 1)]
    #[case::doubles(2, 2)]
    #[case::doubles_again(4, 8)]
    #[case::just_below_the_limit(9, 256)]
    #[case::at_most_five_minutes(10, 300)]
    #[case::never_overflows(u32::MAX, 300)]
    fn the_wait_doubles_up_to_five_minutes(#[case] failures: u32, #[case] seconds: u64) {
        assert_eq!(delay(FIRST, failures), Duration::from_secs(seconds));
    }

    #[test]
    fn jitter_only_lengthens_and_by_a_tenth_at_most() {
        for _ in 0..100 {
            let wait = jitter(Duration::from_secs(100));
            assert!((100.0..110.0).contains(&wait.as_secs_f64()), "{wait:?}");
        }
    }
}
