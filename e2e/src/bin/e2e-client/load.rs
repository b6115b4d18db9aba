//! Writes and reads without pause, and knows of every row whether it was acknowledged.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use e2e::report::{Failure, Progress, Report, Verdict, print};
use futures::{FutureExt, Stream, StreamExt, stream};
use rand::Rng;
use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{interval, sleep};

use crate::connection::Connection;

/// Requests under way at the same time, of each kind. A ring that stalls slows the load down, and the gap shows it.
const IN_FLIGHT: usize = 128;
/// How often, once a second, a row is read at the end before it counts as unreadable. A driver whose only node has come back
/// at another address needs up to a minute to find it.
const ATTEMPTS: usize = 90;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connection: Connection,
    /// Keyspace to write to; made if it is not there.
    #[arg(long, default_value = "e2e")]
    keyspace: String,
    /// Replicas of each row, if the keyspace is made.
    #[arg(long, default_value_t = 3)]
    replication: u32,
    /// Writes a second, and as many reads.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Stop when this file appears.
    #[arg(long)]
    until_file: Option<PathBuf>,
    /// Stop after so many seconds.
    #[arg(long)]
    duration: Option<u64>,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(options.rate > 0, "--rate must be at least 1");
    let session = options.connection.open().await?;
    let load = Load::prepare(session, &options).await?;
    let stop = stopped(options.until_file, options.duration).shared();
    let writes = ticks(options.rate)
        .take_until(stop.clone())
        .zip(stream::iter(0..))
        .for_each_concurrent(IN_FLIGHT, |((), sequence)| load.write(sequence));
    let reads = ticks(options.rate).take_until(stop.clone()).for_each_concurrent(IN_FLIGHT, |()| load.read());
    let reports = ticks(1).take_until(stop).for_each(|()| load.report());
    tokio::join!(writes, reads, reports);
    let verdict = load.verify().await;
    print(&Report::Verdict(verdict.clone()))?;
    ensure!(verdict.all_is_there(), "{verdict}");
    Ok(())
}

fn ticks(per_second: u32) -> impl Stream<Item = ()> {
    stream::unfold(interval(Duration::from_secs(1) / per_second), |mut interval| async {
        interval.tick().await;
        Some(((), interval))
    })
}

/// Ends with the file, the time or SIGTERM, whichever comes first.
async fn stopped(file: Option<PathBuf>, seconds: Option<u64>) {
    let file_appears = async {
        let Some(file) = file else { return pending().await };
        while !file.exists() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let time_passes = async {
        match seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => pending().await,
        }
    };
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => pending().await,
        }
    };
    tokio::select! { () = file_appears => {}, () = time_passes => {}, () = terminated => {} }
}

struct Load {
    session: Session,
    insert: PreparedStatement,
    select: PreparedStatement,
    select_of_all: PreparedStatement,
    /// Distinguishes the rows of this run from those of other runs.
    writer: i64,
    started: Instant,
    tally: Mutex<Tally>,
}

struct Tally {
    acknowledged: Vec<i64>,
    last: Instant,
    progress: Progress,
}

impl Load {
    async fn prepare(session: Session, options: &Options) -> anyhow::Result<Self> {
        let Options { keyspace, replication, .. } = options;
        let (datacenter,) = session
            .query_unpaged("SELECT data_center FROM system.local", ())
            .await?
            .into_rows_result()?
            .single_row::<(String,)>()?;
        let ddl = [
            format!(
                "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
                 {{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication}}}"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {keyspace}.rows \
                 (writer bigint, sequence bigint, content text, PRIMARY KEY ((writer, sequence)))"
            ),
        ];
        for cql in ddl {
            session.query_unpaged(cql.as_str(), ()).await.with_context(|| cql)?;
        }
        let prepare = async |cql: &str, consistency| {
            let mut statement = session.prepare(cql).await?;
            statement.set_consistency(consistency);
            statement.set_is_idempotent(true);
            anyhow::Ok(statement)
        };
        let insert = format!("INSERT INTO {keyspace}.rows (writer, sequence, content) VALUES (?, ?, ?)");
        let insert = prepare(&insert, Consistency::Quorum).await?;
        let cql = format!("SELECT content FROM {keyspace}.rows WHERE writer = ? AND sequence = ?");
        let select = prepare(&cql, Consistency::Quorum).await?;
        let select_of_all = prepare(&cql, Consistency::All).await?;
        let tally = Tally { acknowledged: vec![], last: Instant::now(), progress: Progress::default() };
        Ok(Self {
            session,
            insert,
            select,
            select_of_all,
            writer: rand::rng().random(),
            started: Instant::now(),
            tally: Mutex::new(tally),
        })
    }

    async fn write(&self, sequence: i64) {
        let row = (self.writer, sequence, self.content(sequence));
        let result = self.session.execute_unpaged(&self.insert, row).await;
        let mut tally = self.tally();
        match result {
            Ok(_) => {
                let gap = u64::try_from(tally.last.elapsed().as_millis()).unwrap_or(u64::MAX);
                tally.progress.longest_gap_ms = tally.progress.longest_gap_ms.max(gap);
                tally.last = Instant::now();
                tally.progress.acknowledged += 1;
                tally.acknowledged.push(sequence);
            }
            Err(error) => {
                tally.progress.failed += 1;
                drop(tally);
                self.complain("write", sequence, error.to_string());
            }
        }
    }

    /// Reads any of the rows acknowledged so far.
    async fn read(&self) {
        let sequence = {
            let acknowledged = &self.tally().acknowledged;
            match acknowledged.len() {
                0 => return,
                count => acknowledged[rand::rng().random_range(0..count)],
            }
        };
        let error = match self.fetch(&self.select, sequence).await {
            Ok(Some(content)) if content == self.content(sequence) => {
                self.tally().progress.read_ok += 1;
                return;
            }
            Ok(found) => format!("an acknowledged row reads as {found:?}"),
            Err(error) => format!("{error:#}"),
        };
        self.tally().progress.read_failed += 1;
        self.complain("read", sequence, error);
    }

    async fn fetch(&self, select: &PreparedStatement, sequence: i64) -> anyhow::Result<Option<String>> {
        let result = self.session.execute_unpaged(select, (self.writer, sequence)).await?;
        Ok(result.into_rows_result()?.maybe_first_row::<(String,)>()?.map(|(content,)| content))
    }

    fn content(&self, sequence: i64) -> String {
        format!("row {sequence} of {}", self.writer)
    }

    async fn report(&self) {
        let releases = self.releases().await;
        let mut tally = self.tally();
        // If the query failed, keep the last result.
        if let Ok(releases) = releases {
            tally.progress.releases = releases;
        }
        let line = Report::Progress(tally.progress.clone());
        drop(tally);
        // The load goes on even if nobody reads its output: the verdict counts.
        _ = print(&line);
    }

    async fn releases(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let cql = "SELECT address, release_version FROM system_views.gossip_info";
        let rows = self.session.query_unpaged(cql, ()).await?.into_rows_result()?;
        let known = rows.rows::<(IpAddr, Option<String>)>()?.filter_map(Result::ok);
        Ok(known.filter_map(|(address, release)| Some((address.to_string(), release?))).collect())
    }

    fn complain(&self, operation: &str, sequence: i64, error: String) {
        let operation = operation.to_owned();
        let sequence = sequence.unsigned_abs();
        let at = self.started.elapsed().as_secs_f64();
        _ = print(&Report::Failure(Failure { operation, sequence, at, error }));
    }

    async fn verify(&self) -> Verdict {
        let acknowledged = self.tally().acknowledged.clone();
        let verdict = Verdict { load: self.tally().progress.clone(), ..Verdict::default() };
        stream::iter(acknowledged)
            .map(|sequence| async move {
                match self.reads_as_written(&self.select, sequence).await {
                    Some(false) => {
                        self.complain("verify", sequence, "a quorum does not have it".to_owned());
                        (false, self.reads_as_written(&self.select_of_all, sequence).await)
                    }
                    by_quorum => (true, by_quorum),
                }
            })
            .buffer_unordered(IN_FLIGHT)
            .fold(verdict, async |mut verdict, read| {
                match read {
                    (true, Some(true)) => verdict.verified += 1,
                    (false, Some(true)) => verdict.behind += 1,
                    (_, Some(false)) => verdict.lost += 1,
                    (_, None) => verdict.unreadable += 1,
                }
                verdict
            })
            .await
    }

    /// Reads until there is an answer; `None` if all attempts failed.
    async fn reads_as_written(&self, select: &PreparedStatement, sequence: i64) -> Option<bool> {
        for _ in 0..ATTEMPTS {
            if let Ok(content) = self.fetch(select, sequence).await {
                return Some(content.is_some_and(|content| content == self.content(sequence)));
            }
            sleep(Duration::from_secs(1)).await;
        }
        None
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
