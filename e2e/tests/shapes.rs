//! Rings of every shape, on a real cluster and as a table: each is created, keeps what is written to it, and is updated under
//! load. Then what a ring of three racks with two nodes each does when it loses volumes.
//!
//! `make shapes` plays all, `make shapes ROW=...` those whose names contain a word.

#[path = "shapes/born.rs"]
mod born;
#[path = "shapes/lost.rs"]
mod lost;

use std::process::ExitCode;

use e2e::table;

fn main() -> ExitCode {
    let rows = || born::rows().into_iter().chain(lost::rows()).collect();
    table::main("the shapes could not be tried", |words| table::play(rows(), words))
}
