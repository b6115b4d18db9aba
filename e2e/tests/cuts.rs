//! Every single cut: an operator dies before, or after, each write that it sends in one update, restart or vertical scaling, and is started again.
//!
//! A few hundred requests are affordable because the nodes and pods only pretend to run; API server, controllers and operators
//! are real. `make cuts` makes all cuts, `make cuts ROW=...` those whose names contain a word, such as `update-ops-manager-after-12`.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "cuts/cut.rs"]
mod cut;
#[path = "cuts/lane.rs"]
mod lane;

use std::collections::VecDeque;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::fake_nodes::FakeNodes;
use e2e::{operators, table};

use cut::{Kind, Line};
use lane::Lane;

const CHART: &str = "../charts/cassandra-operators";
/// Requests at the same time, each with operators of its own.
const LANES: usize = 4;

fn main() -> ExitCode {
    table::main("the cuts could not be made", cuts)
}

/// Makes the cuts; returns whether all requests ended as they should.
fn cuts(words: &[String]) -> Result<bool> {
    ensure!(
        std::env::var_os("KUBE_CONTEXT").is_none() && std::env::var_os("E2E_AUDIT_LOG").is_some(),
        "fake nodes are for the embedded cluster only: `make cuts` without KUBE_CONTEXT"
    );
    let folder = std::env::temp_dir().join(format!("cassandra-cuts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    println!("==> logs and evidence are in {}", folder.display());
    let started = Instant::now();
    lane::offer_releases()?;
    let lanes = (1..=LANES).map(|number| Lane::new(number, &folder)).collect::<Result<Vec<_>>>()?;
    operators::in_cluster(0, Path::new(CHART))?;
    let made = FakeNodes::start(&folder).and_then(|_nodes| make(words, lanes));
    operators::in_cluster(1, Path::new(CHART))?;
    let made = made?;
    println!("\n{}", cut::table(&made));
    println!("{} cuts took {} s", made.len(), started.elapsed().as_secs());
    Ok(made.iter().all(Line::is_good))
}

/// Makes the cuts, as many at a time as there are lanes.
fn make(words: &[String], mut lanes: Vec<Lane>) -> Result<Vec<Line>> {
    let mut cuts = VecDeque::new();
    for kind in Kind::ALL {
        // The order of events and the number of reconciles differ between requests, so take the most writes of several.
        let counts = thread::scope(|scope| {
            let plain: Vec<_> = lanes.iter_mut().map(|lane| scope.spawn(|| lane.count(kind))).collect();
            plain.into_iter().map(joined).collect::<Result<Vec<_>>>()
        })?;
        let most =
            [0, 1].map(|operator| counts.iter().map(|count| count[operator]).max().unwrap_or_default());
        println!("==> {kind:?}: up to {} writes of the provisioner, {} of the ops-manager", most[0], most[1]);
        cuts.extend(cut::all(kind, most).into_iter().filter(|cut| cut.is_selected(words)));
    }
    ensure!(!cuts.is_empty(), "no cut is called {}", words.join(" or "));
    let (cuts, made) = (Mutex::new(cuts), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let work = |lane: &mut Lane| {
            // Not `while let`, which would hold the lock through the cut.
            loop {
                let Some(cut) = locked(&cuts).pop_front() else { break };
                let line = lane.play(cut);
                println!("{line}");
                locked(&made).push(line);
            }
            lane.leave()
        };
        let workers: Vec<_> = lanes.iter_mut().map(|lane| scope.spawn(move || work(lane))).collect();
        workers.into_iter().try_for_each(joined)
    })?;
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    made.sort_by_key(|line| line.cut);
    Ok(made)
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow::anyhow!("a lane panicked"))?
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
