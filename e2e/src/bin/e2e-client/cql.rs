//! Runs statements, one after the other.

use anyhow::Context;
use clap::Args;
use scylla::statement::unprepared::Statement;
use scylla::value::{CqlValue, Row};
use serde_json::{Map, Value};

use crate::connection::Connection;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connection: Connection,
    /// The statements.
    #[arg(required = true)]
    statements: Vec<String>,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let session = options.connection.open().await?;
    for cql in &options.statements {
        let mut statement = Statement::new(cql);
        statement.set_is_idempotent(true);
        let result = session.query_unpaged(statement, ()).await.with_context(|| cql.clone())?;
        if !result.is_rows() {
            continue;
        }
        let result = result.into_rows_result()?;
        let names: Vec<String> =
            result.column_specs().iter().map(|column| column.name().to_owned()).collect();
        for row in result.rows::<Row>()? {
            let object: Map<String, Value> =
                names.iter().cloned().zip(row?.columns.into_iter().map(json)).collect();
            e2e::report::print(&object)?;
        }
    }
    Ok(())
}

/// Text, numbers and truth values as such, all else in CQL's spelling.
fn json(value: Option<CqlValue>) -> Value {
    match value {
        None => Value::Null,
        Some(CqlValue::Text(text) | CqlValue::Ascii(text)) => text.into(),
        Some(CqlValue::Int(number)) => number.into(),
        Some(CqlValue::BigInt(number)) => number.into(),
        Some(CqlValue::Boolean(truth)) => truth.into(),
        Some(other) => other.to_string().into(),
    }
}
