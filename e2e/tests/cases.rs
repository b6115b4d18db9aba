//! What people met with Cassandra on Kubernetes, on a real cluster: each case works, or is told in words that help. As a table.
//!
//! `make cases` plays all, `make cases ROW=...` those whose names contain a word. Two rings go through most of them, one after the
//! other, and are made when the first one asks for them.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "cases/made.rs"]
mod made;
#[path = "cases/node.rs"]
mod node;
#[path = "cases/refused.rs"]
mod refused;
#[path = "cases/start.rs"]
mod start;
#[path = "cases/update.rs"]
mod update;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use e2e::kubectl::{condition, get, text, wait_for};
use e2e::table::{self, Row};

/// Its name, and what plays it and answers what was told.
type Case = (&'static str, fn() -> Result<String>);

fn main() -> ExitCode {
    table::main("the cases could not be played", cases)
}

/// Whether all went as they should.
fn cases(words: &[String]) -> Result<bool> {
    ensure!(
        std::env::var_os("E2E_AUDIT_LOG").is_some(),
        "the cases break volumes and read the audit log: they are played on the embedded cluster only, by `make cases` \
         without KUBE_CONTEXT"
    );
    let all = [made::CASES, node::CASES, start::CASES, refused::CASES, update::CASES].concat();
    let row = |(name, play): Case| Row { name: name.to_owned(), play: Box::new(play) };
    table::play(all.into_iter().map(row).collect(), words)
}

/// Waits until a condition of an object has these words; answers its message.
fn told(namespace: &str, object: &str, type_: &str, words: &str) -> Result<String> {
    wait_for(&format!("{type_} of {object}: {words}"), namespace, 150, || {
        let found = get(namespace, object)?;
        let message = condition(&found, type_).map(|found| text(found, "/message")).unwrap_or_default();
        Ok(message.contains(words).then_some(message))
    })
}
