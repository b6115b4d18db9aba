//! Results of the health checks of a ring.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// `Ok` if it holds, otherwise the reason why not.
pub type Check = Result<(), String>;

/// Result of one round of checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// A node answers.
    pub accepting: Check,
    /// All nodes answer and agree, and a write can be read back.
    pub ready: Check,
    /// Host id of each node, by pod; empty unless all nodes answer and agree.
    pub host_ids: BTreeMap<String, String>,
}

/// The last report, and how many rounds in a row have failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Result of the last round.
    pub report: Report,
    /// Rounds in a row in which no node answered.
    pub silent: u32,
    /// Rounds in a row that did not end ready.
    pub failed: u32,
}

impl Verdict {
    /// A verdict without a check: neither accepting nor ready, for the reason `why`.
    pub fn known(why: &str) -> Self {
        let no = || Err(why.to_owned());
        let report = Report { accepting: no(), ready: no(), host_ids: BTreeMap::new() };
        Self { report, silent: u32::MAX, failed: u32::MAX }
    }
}

/// State of the checks of one ring.
#[derive(Default)]
pub struct Checks {
    /// Result of the last round that has ended.
    pub verdict: Option<Verdict>,
    /// When the last round began.
    pub started: Option<Instant>,
    /// A round is under way.
    pub running: bool,
    /// Addresses of the nodes in the last round.
    pub addresses: Vec<SocketAddr>,
}
