//! How long a step may take.

use std::time::Duration;

use api::CassandraOpsRequest;

/// What a step may take if the request does not say. A node with much data replays its commit log when it starts.
const DEFAULT: &str = "30m";

/// How long each step of the request may take. The schema lets nothing through that cannot be read; were it so, the
/// request would not be one that waits forever.
pub fn of(request: &CassandraOpsRequest) -> Duration {
    text(request).parse::<kube::core::Duration>().map_or(Duration::from_mins(30), Duration::from)
}

/// The same as the user wrote it.
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
