//! Fault injection: real updates of a real ring, under a load, while something goes wrong at a chosen step.
//!
//! The operators run as processes of this machine, each behind a proxy of its own; those in the cluster are scaled to zero
//! meanwhile. `make chaos` runs all rows, `make chaos ROW=...` those whose names contain a word. The faults that every change is
//! tested with are in the test `ring`.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "chaos/back.rs"]
mod back;
#[path = "chaos/floor.rs"]
mod floor;
#[path = "chaos/matrix.rs"]
mod matrix;
#[path = "chaos/node_logs.rs"]
mod node_logs;
#[path = "chaos/row.rs"]
mod row;
#[path = "chaos/stage.rs"]
mod stage;
#[path = "chaos/step.rs"]
mod step;
#[path = "chaos/witness.rs"]
mod witness;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use e2e::{operators, table};

use row::{Line, Row};
use stage::Stage;

const CHART: &str = "../charts/cassandra-operators";

fn main() -> ExitCode {
    table::main("chaos could not run", chaos)
}

/// Plays the rows; returns whether all went well.
fn chaos(words: &[String]) -> Result<bool> {
    let rows: Vec<Row> = matrix::rows().into_iter().filter(|row| row.is_selected(words)).collect();
    ensure!(!rows.is_empty(), "no row is called {}; there are:\n{}", words.join(" or "), names());
    ensure!(
        std::env::var_os("KUBE_CONTEXT").is_none() && std::env::var_os("E2E_AUDIT_LOG").is_some(),
        "fault injection stops API servers and kills processes of nodes: it runs on the embedded cluster only, \
         by `make chaos` without KUBE_CONTEXT"
    );
    operators::in_cluster(0, Path::new(CHART))?;
    let lines = play(&rows);
    operators::in_cluster(1, Path::new(CHART))?;
    let lines = lines?;
    println!("\n{}", row::table(&lines));
    Ok(lines.iter().all(Line::is_good))
}

fn play(rows: &[Row]) -> Result<Vec<Line>> {
    let mut stage = Stage::new()?;
    println!("==> {} rows; logs and evidence are in {}", rows.len(), stage.folder.display());
    let mut lines = Vec::new();
    for row in rows {
        println!("==> {}", row.name());
        let line = row.play(&mut stage);
        println!("    {line}");
        lines.push(line);
    }
    stage.leave()?;
    Ok(lines)
}

fn names() -> String {
    matrix::rows().iter().map(Row::name).collect::<Vec<_>>().join("\n")
}
