//! Tests that are a table: each row is played, and answers what came of it.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};

/// Something to go through, and what it answers about it.
pub struct Row {
    /// Words of it select the row.
    pub name: String,
    /// Goes through it.
    pub play: Box<dyn Fn() -> Result<String>>,
}

/// Runs a test of its own with the words of the command line: it answers whether all went as it should. `failed` is said where it
/// could not be run.
pub fn main(failed: &str, run: impl FnOnce(&[String]) -> Result<bool>) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{failed}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the rows whose names, with `-` for each space, contain one of the words; without words all. Whether all went well.
pub fn play(mut rows: Vec<Row>, words: &[String]) -> Result<bool> {
    let name = |row: &Row| row.name.replace(' ', "-");
    let names = rows.iter().map(name).collect::<Vec<_>>().join("\n");
    rows.retain(|row| words.is_empty() || words.iter().any(|word| name(row).contains(word.as_str())));
    ensure!(!rows.is_empty(), "no row is called {}; there are:\n{names}", words.join(" or "));
    let mut good = true;
    let mut table = vec![format!("{:<34} {:>7}  outcome", "row", "seconds")];
    for Row { name, play } in rows {
        println!("==> {name}");
        let started = Instant::now();
        let outcome = play().unwrap_or_else(|error| {
            good = false;
            println!("{error:#}");
            format!("WRONG: {}", format!("{error:#}").lines().next().unwrap_or_default())
        });
        let line = format!("{name:<34} {:>7}  {outcome}", started.elapsed().as_secs());
        println!("    {line}");
        table.push(line);
    }
    println!("\n{}", table.join("\n"));
    Ok(good)
}
