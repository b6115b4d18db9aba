//! A load that can prove that nothing was lost: every row follows from its key, and every acknowledged one is read back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use futures::future::join_all;
use futures::{StreamExt, stream};
use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{Target, say};

/// The file that ends a load.
pub const UNTIL: &str = "/tmp/stop";
/// Clients side by side.
const WORKERS: u32 = 4;

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Keyspace to make and use.
    #[arg(long, default_value = "load")]
    keyspace: String,
    /// Datacenter to replicate in.
    #[arg(long, default_value = "dc1")]
    datacenter: String,
    /// Copies of each row.
    #[arg(long, default_value_t = 3)]
    replication: u32,
    /// Writes a second, and as many reads.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// The load ends when this file appears.
    #[arg(long, default_value = UNTIL)]
    until_file: String,
}

/// What all workers count together.
#[derive(Default)]
struct Counts {
    acknowledged: AtomicU64,
    write_failures: AtomicU64,
    reads: AtomicU64,
    read_failures: AtomicU64,
    longest_gap_ms: AtomicU64,
}

impl Counts {
    fn line(&self) -> serde_json::Value {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "acknowledged": of(&self.acknowledged),
            "write_failures": of(&self.write_failures),
            "reads": of(&self.reads),
            "read_failures": of(&self.read_failures),
            "longest_gap_ms": of(&self.longest_gap_ms),
        })
    }
}

struct Load {
    session: Session,
    write: PreparedStatement,
    read: PreparedStatement,
    counts: Counts,
    stop: AtomicBool,
    /// Rows of an earlier run do not count.
    run: i64,
}

/// Loads until told to stop, then verifies. The last line has the verdict.
pub async fn run(options: Options) -> Result<()> {
    let load = Arc::new(prepare(&options).await?);
    let workers = (0..WORKERS).map(|worker| tokio::spawn(work(Arc::clone(&load), worker, options.rate)));
    let workers = join_all(workers);
    let (mut terminate, mut tick) = (signal(SignalKind::terminate())?, interval(Duration::from_secs(1)));
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = terminate.recv() => break,
        }
        say(&load.counts.line());
        if Path::new(&options.until_file).exists() {
            break;
        }
    }
    load.stop.store(true, Ordering::Relaxed);
    let acknowledged = workers.await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let keys = acknowledged.into_iter().enumerate().flat_map(|(worker, rows)| {
        let worker = i32::try_from(worker).unwrap_or_default();
        rows.into_iter().map(move |row| (worker, row))
    });
    let lost: u64 =
        stream::iter(keys).map(|key| lost(&load, key)).buffer_unordered(32).map(u64::from).fold(0, sum).await;
    let mut verdict = load.counts.line();
    verdict["verified"] = verdict["acknowledged"].clone();
    verdict["lost"] = json!(lost);
    say(&verdict);
    Ok(())
}

async fn sum(a: u64, b: u64) -> u64 {
    a + b
}

async fn prepare(options: &Options) -> Result<Load> {
    let Options { target, keyspace, datacenter, replication, .. } = options;
    let session = target.connect().await?;
    let strategy = format!("{{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication}}}");
    for statement in [
        format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {strategy}"),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.rows \
             (run bigint, worker int, seq bigint, value bigint, PRIMARY KEY ((run, worker, seq)))"
        ),
    ] {
        session.query_unpaged(statement, &[]).await?;
    }
    session.await_schema_agreement().await?;
    let mut write = session
        .prepare(format!("INSERT INTO {keyspace}.rows (run, worker, seq, value) VALUES (?, ?, ?, ?)"))
        .await?;
    let mut read = session
        .prepare(format!("SELECT value FROM {keyspace}.rows WHERE run = ? AND worker = ? AND seq = ?"))
        .await?;
    for statement in [&mut write, &mut read] {
        statement.set_consistency(Consistency::Quorum);
        statement.set_is_idempotent(true);
    }
    let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
    let run = i64::try_from(run).unwrap_or_default();
    Ok(Load { session, write, read, counts: Counts::default(), stop: AtomicBool::new(false), run })
}

/// Writes the next row and reads an earlier one, at a steady pace. Answers the rows that were acknowledged.
async fn work(load: Arc<Load>, worker: u32, rate: u32) -> Vec<i64> {
    let worker = i32::try_from(worker).unwrap_or_default();
    let mut pace = interval(Duration::from_secs(u64::from(WORKERS)) / rate);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut acknowledged, mut seq, mut last) = (Vec::new(), 0_i64, Instant::now());
    while !load.stop.load(Ordering::Relaxed) {
        pace.tick().await;
        seq += 1;
        let row = (load.run, worker, seq, value(worker, seq));
        match load.session.execute_unpaged(&load.write, row).await {
            Ok(_) => {
                let gap = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
                load.counts.longest_gap_ms.fetch_max(gap, Ordering::Relaxed);
                load.counts.acknowledged.fetch_add(1, Ordering::Relaxed);
                acknowledged.push(seq);
                last = Instant::now();
            }
            Err(error) => {
                load.counts.write_failures.fetch_add(1, Ordering::Relaxed);
                say(&json!({ "failed": "write", "error": error.to_string() }));
            }
        }
        // Any earlier row will do; this one wanders over all of them.
        let Some(&earlier) = acknowledged.get(acknowledged.len() * 2 / 3) else { continue };
        match is_there(&load, (worker, earlier)).await {
            Ok(true) => load.counts.reads.fetch_add(1, Ordering::Relaxed),
            Ok(false) => {
                say(
                    &json!({ "failed": "read", "error": format!("row {worker}/{earlier} was acknowledged and is not there") }),
                );
                load.counts.read_failures.fetch_add(1, Ordering::Relaxed)
            }
            Err(error) => {
                say(&json!({ "failed": "read", "error": error.to_string() }));
                load.counts.read_failures.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
    acknowledged
}

/// What a row must hold.
fn value(worker: i32, seq: i64) -> i64 {
    seq.wrapping_mul(1_000_003) ^ i64::from(worker)
}

async fn is_there(load: &Load, (worker, seq): (i32, i64)) -> Result<bool> {
    let result = load.session.execute_unpaged(&load.read, (load.run, worker, seq)).await?;
    let row = result.into_rows_result()?.maybe_first_row::<(i64,)>()?;
    Ok(row == Some((value(worker, seq),)))
}

/// Whether an acknowledged row is gone. A question that fails is asked again: the ring may be busy, the row is not lost.
async fn lost(load: &Load, key: (i32, i64)) -> bool {
    for _ in 0..30 {
        match is_there(load, key).await {
            Ok(there) => return !there,
            Err(_) => sleep(Duration::from_secs(1)).await,
        }
    }
    true
}
