//! What the checks of a ring's health have said so far.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Whether something is so, or why not.
pub type Check = Result<(), String>;

/// What one round of questions said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// A node answers.
    pub accepting: Check,
    /// All nodes answer and agree, and a write can be read back.
    pub ready: Check,
    /// Host id of each node, by pod; empty where not all answer and agree.
    pub host_ids: BTreeMap<String, String>,
}

/// A report, and for how long it has been like that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the last round said.
    pub report: Report,
    /// Rounds in a row in which no node answered.
    pub silent: u32,
    /// Rounds in a row that ended other than ready.
    pub failed: u32,
}

impl Verdict {
    /// What is known without asking.
    pub fn known(why: &str) -> Self {
        let no = || Err(why.to_owned());
        let report = Report { accepting: no(), ready: no(), host_ids: BTreeMap::new() };
        Self { report, silent: u32::MAX, failed: u32::MAX }
    }
}

/// The rounds so far.
#[derive(Default)]
pub struct Checks {
    /// What the last one said.
    pub verdict: Option<Verdict>,
    /// When the last one began.
    pub started: Option<Instant>,
    /// It has not ended.
    pub running: bool,
    /// The nodes of the last one.
    pub addresses: Vec<SocketAddr>,
}
