//! Problems that people have had with Cassandra on Kubernetes, on a real cluster and as a table: each case works, or is reported
//! in words that help.
//!
//! `make cases` plays all, `make cases ROW=...` those whose names contain a word. Most cases run one after the other on two
//! shared rings, each of which is created by the first case that needs it.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "cases/made.rs"]
mod made;
#[path = "cases/node.rs"]
mod node;
#[path = "cases/refused.rs"]
mod refused;
#[path = "cases/restart.rs"]
mod restart;
#[path = "cases/revision.rs"]
mod revision;
#[path = "cases/scaling.rs"]
mod scaling;
#[path = "cases/start.rs"]
mod start;
#[path = "cases/update.rs"]
mod update;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use e2e::kubectl::{condition, get, text, wait_for};
use e2e::table::{self, Row};

/// Name of a case, and the function that plays it and returns the message that the user got.
type Case = (&'static str, fn() -> Result<String>);

fn main() -> ExitCode {
    table::main("the cases could not be played", cases)
}

/// Plays the cases; returns whether all went well.
fn cases(words: &[String]) -> Result<bool> {
    ensure!(
        std::env::var_os("E2E_AUDIT_LOG").is_some(),
        "the cases break volumes and read the audit log: they are played on the embedded cluster only, by `make cases` \
         without KUBE_CONTEXT"
    );
    let all = [
        made::CASES,
        node::CASES,
        start::CASES,
        refused::CASES,
        update::CASES,
        revision::CASES,
        restart::CASES,
        scaling::CASES,
    ]
    .concat();
    let row = |(name, play): Case| Row { name: name.to_owned(), play: Box::new(play) };
    table::play(all.into_iter().map(row).collect(), words)
}

/// Waits until the message of a condition of an object contains these words; returns the message.
fn told(namespace: &str, object: &str, type_: &str, words: &str) -> Result<String> {
    wait_for(&format!("{type_} of {object}: {words}"), namespace, 150, || {
        let found = get(namespace, object)?;
        let message = condition(&found, type_).map(|found| text(found, "/message")).unwrap_or_default();
        Ok(message.contains(words).then_some(message))
    })
}
