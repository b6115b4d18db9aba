//! Tests in the form of a table: each row is played and returns its outcome.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};

/// A row of the table: one case to play.
pub struct Row {
    /// Name of the row. A part of it on the command line selects the row.
    pub name: String,
    /// Plays the row; returns its outcome.
    pub play: Box<dyn Fn() -> Result<String>>,
}

/// Main function of such a test. `run` gets the arguments of the command line and returns whether all went well. `failed` is
/// the message if it could not run.
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

/// Plays the rows whose names, with `-` for each space, contain one of the words; a word that is the whole name of a row selects
/// that row alone. Without words it plays all. Returns whether all went well.
pub fn play(mut rows: Vec<Row>, words: &[String]) -> Result<bool> {
    let name = |row: &Row| row.name.replace(' ', "-");
    let names = rows.iter().map(name).collect::<Vec<_>>().join("\n");
    let whole = |word: &String| rows.iter().any(|row| name(row) == *word);
    let (whole, parts): (Vec<_>, Vec<_>) = words.iter().partition(|word| whole(word));
    rows.retain(|row| {
        let name = name(row);
        words.is_empty() || whole.contains(&&name) || parts.iter().any(|word| name.contains(word.as_str()))
    });
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
