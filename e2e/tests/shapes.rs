//! Rings of every shape, on a real cluster, as a table: each is born, holds what is written to it, and is updated under a client.
//! Then what a ring of three racks with two nodes each does when it loses volumes.
//!
//! `make shapes` plays all, `make shapes ROW=...` those whose names contain a word.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "shapes/born.rs"]
mod born;
#[path = "shapes/lost.rs"]
mod lost;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};

/// Something that a ring goes through, and what it answers about it.
struct Row {
    name: String,
    play: Box<dyn Fn() -> Result<String>>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match rows(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("the shapes could not be tried: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went as they should.
fn rows(words: &[String]) -> Result<bool> {
    let mut rows = born::rows();
    rows.extend(lost::rows());
    let names = rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>().join("\n");
    rows.retain(|row| words.is_empty() || words.iter().any(|word| row.name.contains(word.as_str())));
    ensure!(!rows.is_empty(), "no row is called {}; there are:\n{names}", words.join(" or "));
    let mut good = true;
    let mut table = vec![format!("{:<24} {:>7}  outcome", "row", "seconds")];
    for Row { name, play } in rows {
        println!("==> {name}");
        let started = Instant::now();
        let outcome = play().unwrap_or_else(|error| {
            good = false;
            println!("{error:#}");
            format!("WRONG: {}", format!("{error:#}").lines().next().unwrap_or_default())
        });
        let line = format!("{name:<24} {:>7}  {outcome}", started.elapsed().as_secs());
        println!("    {line}");
        table.push(line);
    }
    println!("\n{}", table.join("\n"));
    Ok(good)
}
