//! A load beyond plain rows: counters, conditional inserts and a view, written without pause and checked at the end.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use e2e::report::{Ledger, print};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{Counter, CqlValue, Row};
use tokio::time::{interval, sleep};

use crate::connection::Connection;

/// Copies of each row: one for each rack of the ring.
const COPIES: u32 = 3;
/// Time from one entry to the next.
const PACE: Duration = Duration::from_millis(100);
/// How often a read at the end is retried before it fails.
const ATTEMPTS: usize = 20;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connection: Connection,
    /// Stop when this file appears.
    #[arg(long)]
    until_file: PathBuf,
}

struct Book {
    session: Session,
    count: PreparedStatement,
    counted: PreparedStatement,
    claim: PreparedStatement,
    claimant: PreparedStatement,
    insert: PreparedStatement,
    viewed: PreparedStatement,
}

pub async fn run(options: Options) -> Result<()> {
    let book = Book::open(options.connection.open().await?).await?;
    let mut ledger = Ledger::default();
    let mut claims = vec![];
    let mut rows = vec![];
    let mut pace = interval(PACE);
    for key in 0.. {
        if options.until_file.exists() {
            break;
        }
        pace.tick().await;
        match book.run(&book.count, ()).await {
            Ok(_) => ledger.counted += 1,
            // The increment may have been applied nevertheless, so it must not be repeated.
            Err(_) => ledger.unknown += 1,
        }
        let first = book.claims(key, "first").await.ok();
        let second = book.claims(key, "second").await.ok();
        ledger.granted_twice += u64::from(first == Some(true) && second == Some(true));
        if let Some(by) =
            [(first, "first"), (second, "second")].iter().find(|(granted, _)| *granted == Some(true))
        {
            claims.push((key, by.1));
        }
        if book.run(&book.insert, (key, key % 7)).await.is_ok() {
            rows.push(key);
        }
        if key % 10 == 0 {
            print(&ledger)?;
        }
    }
    let Counter(counter) = book.answer(&book.counted, ()).await?.context("the counter has no row")?;
    ledger.counter = counter;
    for (key, by) in claims {
        let found: Option<String> = book.answer(&book.claimant, (key,)).await?;
        ledger.granted += 1;
        ledger.taken_back += u64::from(found.as_deref() != Some(by));
    }
    for key in rows {
        let found: Option<i32> = book.answer(&book.viewed, (key % 7, key)).await?;
        ledger.rows += 1;
        ledger.not_in_view += u64::from(found.is_none());
    }
    ledger.done = true;
    print(&ledger)?;
    ensure!(ledger.is_right(), "{ledger:?}");
    Ok(())
}

impl Book {
    async fn open(session: Session) -> Result<Self> {
        let ddl = [
            format!(
                "CREATE KEYSPACE IF NOT EXISTS ledger WITH replication = \
                 {{'class': 'NetworkTopologyStrategy', 'replication_factor': {COPIES}}}"
            ),
            "CREATE TABLE IF NOT EXISTS ledger.counters (name text PRIMARY KEY, count counter)".to_owned(),
            "CREATE TABLE IF NOT EXISTS ledger.claims (key int PRIMARY KEY, holder text)".to_owned(),
            "CREATE TABLE IF NOT EXISTS ledger.rows (key int PRIMARY KEY, kind int)".to_owned(),
            "CREATE MATERIALIZED VIEW IF NOT EXISTS ledger.by_kind AS SELECT kind, key FROM ledger.rows \
             WHERE kind IS NOT NULL AND key IS NOT NULL PRIMARY KEY (kind, key)"
                .to_owned(),
        ];
        for cql in ddl {
            session.query_unpaged(cql.as_str(), ()).await.with_context(|| cql)?;
        }
        let prepare = async |cql: &str, consistency, idempotent| {
            let mut statement = session.prepare(cql).await.with_context(|| cql.to_owned())?;
            statement.set_consistency(consistency);
            statement.set_serial_consistency(Some(SerialConsistency::Serial));
            statement.set_is_idempotent(idempotent);
            anyhow::Ok(statement)
        };
        let quorum = Consistency::Quorum;
        Ok(Self {
            count: prepare("UPDATE ledger.counters SET count = count + 1 WHERE name = 'all'", quorum, false)
                .await?,
            counted: prepare("SELECT count FROM ledger.counters WHERE name = 'all'", Consistency::All, true)
                .await?,
            claim: prepare(
                "INSERT INTO ledger.claims (key, holder) VALUES (?, ?) IF NOT EXISTS",
                quorum,
                false,
            )
            .await?,
            claimant: prepare("SELECT holder FROM ledger.claims WHERE key = ?", Consistency::All, true)
                .await?,
            insert: prepare("INSERT INTO ledger.rows (key, kind) VALUES (?, ?)", quorum, true).await?,
            viewed: prepare(
                "SELECT key FROM ledger.by_kind WHERE kind = ? AND key = ?",
                Consistency::All,
                true,
            )
            .await?,
            session,
        })
    }

    async fn run(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<Option<Row>> {
        let result = self.session.execute_unpaged(statement, values).await?;
        if !result.is_rows() {
            return Ok(None);
        }
        Ok(result.into_rows_result()?.maybe_first_row::<Row>()?)
    }

    /// Whether the claim was granted; after an error nobody knows.
    async fn claims(&self, key: i32, by: &str) -> Result<bool> {
        let row =
            self.run(&self.claim, (key, by)).await?.context("a conditional insert answers with a row")?;
        let applied = row.columns.first().and_then(Option::as_ref).and_then(CqlValue::as_boolean);
        applied.context("its first column tells whether it was applied")
    }

    /// The first column of the first row, read at ALL. Retries until there is an answer.
    async fn answer<T>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow + Copy,
    ) -> Result<Option<T>>
    where
        T: for<'a> scylla::deserialize::value::DeserializeValue<'a, 'a>,
    {
        let mut attempts = 0;
        loop {
            match self.session.execute_unpaged(statement, values).await {
                Ok(result) => {
                    return Ok(result.into_rows_result()?.maybe_first_row::<(T,)>()?.map(|(value,)| value));
                }
                Err(error) if attempts == ATTEMPTS => return Err(error.into()),
                Err(_) => attempts += 1,
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}
