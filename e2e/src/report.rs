//! What the client in the cluster reports to the harness: one JSON object a line, on standard output.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use serde::{Deserialize, Serialize};

/// A line of the load generator.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "report")]
pub enum Report {
    /// Each second: the sums so far.
    Progress(Progress),
    /// A request that the driver gave up.
    Failure(Failure),
    /// The last line: what became of the rows that were acknowledged.
    Verdict(Verdict),
}

/// Sums since the start.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Writes that a quorum has acknowledged.
    pub acknowledged: u64,
    /// Writes that failed; nobody knows whether they are stored.
    pub failed: u64,
    /// Reads that returned the row as it was written.
    pub read_ok: u64,
    /// Reads that failed, or returned something else.
    pub read_failed: u64,
    /// The longest time between two acknowledged writes.
    pub longest_gap_ms: u64,
    /// The release that each node runs, by address, as the ring itself reports it.
    pub releases: BTreeMap<String, String>,
}

impl Progress {
    /// Requests of both kinds that failed.
    pub fn failures(&self) -> u64 {
        self.failed + self.read_failed
    }
}

/// A request that the driver gave up.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// `write` or `read`.
    pub operation: String,
    /// The row.
    pub sequence: u64,
    /// Seconds since the start of the load.
    pub at: f64,
    /// What the driver said.
    pub error: String,
}

/// What became of the rows that were acknowledged.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Rows read back at QUORUM as they were written.
    pub verified: u64,
    /// Rows that a quorum did not have but some node had: read back at ALL, which also copies them to all replicas.
    pub behind: u64,
    /// Rows that no node has, or that hold something else.
    pub lost: u64,
    /// Rows that could not be read: neither verified nor lost.
    pub unreadable: u64,
    /// The sums at the end of the load.
    pub load: Progress,
}

impl Verdict {
    /// Whether every acknowledged row is there for every client.
    pub fn all_is_there(&self) -> bool {
        self.nothing_lost() && self.behind == 0
    }

    /// Whether every acknowledged row is on a node at least.
    pub fn nothing_lost(&self) -> bool {
        self.lost == 0 && self.unreadable == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, unreadable, behind, .. } = self;
        write!(f, "{lost} rows are lost, {unreadable} cannot be read, {behind} are not on a quorum of nodes")
    }
}

/// What became of counters, conditional inserts and a view.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Increments that were acknowledged.
    pub counted: u64,
    /// Increments that failed: nobody knows whether they were applied.
    pub unknown: u64,
    /// What the counter says at the end.
    pub counter: i64,
    /// Conditional inserts that were granted, one for each key.
    pub granted: u64,
    /// Keys that were granted to both claimants.
    pub granted_twice: u64,
    /// Granted keys that belong to another claimant at the end.
    pub taken_back: u64,
    /// Rows that were acknowledged.
    pub rows: u64,
    /// Acknowledged rows that the view does not show.
    pub not_in_view: u64,
    /// Whether this is the final report.
    pub done: bool,
}

impl Ledger {
    /// Whether nothing was counted twice, lost, granted twice or left out.
    pub fn is_right(&self) -> bool {
        let counter = u64::try_from(self.counter).unwrap_or_default();
        (self.counted..=self.counted + self.unknown).contains(&counter)
            && self.granted_twice + self.taken_back + self.not_in_view == 0
    }
}

/// Prints an object as one line.
pub fn print(line: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    Ok(std::io::stdout().lock().write_all(&line)?)
}
