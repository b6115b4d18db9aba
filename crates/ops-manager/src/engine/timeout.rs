//! The time limit of a step.

use std::time::Duration;

use api::CassandraOpsRequest;

/// Time limit of a step if the request has none. It is long because a node with much data replays its commit log when it starts.
const DEFAULT: &str = "30m";

/// Time limit of each step of the request. The schema accepts no malformed duration; if there is one nevertheless, the default
/// applies, so that no request waits for ever.
pub fn of(request: &CassandraOpsRequest) -> Duration {
    text(request).parse::<kube::core::Duration>().map_or(Duration::from_mins(30), Duration::from)
}

/// The same, as the user wrote it.
pub fn text(request: &CassandraOpsRequest) -> &str {
    request.spec.timeout.as_deref().unwrap_or(DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_reads_as_kubernetes_writes_it() {
        let mut request = CassandraOpsRequest::default();
        assert_eq!(of(&request), Duration::from_mins(30));
        request.spec.timeout = Some("1h30m".to_owned());
        assert_eq!(of(&request), Duration::from_mins(90));
    }
}
