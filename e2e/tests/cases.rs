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
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::kubectl::{condition, get, text, wait_for};

/// Its name, and what plays it and answers what was told.
type Case = (&'static str, fn() -> Result<String>);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match cases(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("the cases could not be played: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went as they should.
fn cases(words: &[String]) -> Result<bool> {
    ensure!(
        std::env::var_os("E2E_AUDIT_LOG").is_some(),
        "the cases break volumes and read the audit log: they are played on the embedded cluster only, by `make cases` \
         without KUBE_CONTEXT"
    );
    let all = [made::CASES, node::CASES, start::CASES, refused::CASES, update::CASES].concat();
    let named =
        |case: &&Case| words.is_empty() || words.iter().any(|word| case.0.replace(' ', "-").contains(word));
    let chosen: Vec<&Case> = all.iter().filter(named).collect();
    let listed = || all.iter().map(|(name, _)| name.replace(' ', "-")).collect::<Vec<_>>().join("\n");
    ensure!(!chosen.is_empty(), "no case is called {}; there are:\n{}", words.join(" or "), listed());
    let mut good = true;
    let mut table = vec![format!("{:<34} {:>7}  what is told", "case", "seconds")];
    for (name, play) in chosen {
        println!("==> {name}");
        let started = Instant::now();
        let told = play().unwrap_or_else(|error| {
            good = false;
            println!("{error:#}");
            format!("WRONG: {}", format!("{error:#}").lines().next().unwrap_or_default())
        });
        let line = format!("{name:<34} {:>7}  {told}", started.elapsed().as_secs());
        println!("    {line}");
        table.push(line);
    }
    println!("\n{}", table.join("\n"));
    Ok(good)
}

/// Waits until a condition of an object has these words; answers its message.
fn told(namespace: &str, object: &str, type_: &str, words: &str) -> Result<String> {
    wait_for(&format!("{type_} of {object}: {words}"), namespace, 150, || {
        let found = get(namespace, object)?;
        let message = condition(&found, type_).map(|found| text(found, "/message")).unwrap_or_default();
        Ok(message.contains(words).then_some(message))
    })
}
