//! Single statements.

use anyhow::{Context, Result};
use scylla::value::{CqlValue, Row};
use serde_json::{Value, json};

use crate::{Target, say};

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// What to run, in this order.
    #[arg(required = true)]
    statements: Vec<String>,
}

/// Runs the statements one after the other; the first that fails ends it.
pub async fn run(options: Options) -> Result<()> {
    let session = options.target.connect().await?;
    for statement in &options.statements {
        let result = session.query_unpaged(statement.as_str(), &[]).await.context(statement.clone())?;
        if !result.is_rows() {
            continue;
        }
        let rows = result.into_rows_result()?;
        for row in rows.rows::<Row>()? {
            say(&row?.columns.iter().map(|cell| value(cell.as_ref())).collect());
        }
    }
    Ok(())
}

fn value(cell: Option<&CqlValue>) -> Value {
    match cell {
        None => Value::Null,
        Some(CqlValue::Text(text) | CqlValue::Ascii(text)) => json!(text),
        Some(CqlValue::Int(number)) => json!(number),
        Some(CqlValue::BigInt(number)) => json!(number),
        Some(CqlValue::Boolean(flag)) => json!(flag),
        Some(other) => json!(format!("{other:?}")),
    }
}
