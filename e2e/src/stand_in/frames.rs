//! The part of the CQL protocol (version 4) that the operators' driver uses.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a client asks.
pub enum Request {
    Options,
    Startup,
    Login,
    Register,
    Prepare(String),
    Statement(String),
}

/// What the node answers.
pub enum Response {
    Supported,
    Authenticate,
    LoggedIn,
    Ready,
    /// The statement is its own id.
    Prepared(String),
    Void,
    /// Rows as objects by column.
    Rows {
        columns: Vec<String>,
        rows: Vec<Value>,
    },
    Invalid(String),
}

const HEADER: usize = 9;
const RESPONSE: u8 = 0x84;

/// The next request, and its stream id.
pub async fn read(stream: &mut TcpStream) -> Result<([u8; 2], Request)> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    let [version, _, high, low, operation, length @ ..] = header;
    if version != 4 {
        bail!("protocol version {version}");
    }
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).await?;
    let request = match operation {
        0x01 => Request::Startup,
        0x05 => Request::Options,
        0x07 => Request::Statement(text::<4>(&body)?),
        0x09 => Request::Prepare(text::<4>(&body)?),
        0x0a => Request::Statement(text::<2>(&body)?),
        0x0b => Request::Register,
        0x0f => Request::Login,
        _ => bail!("request {operation:#x}"),
    };
    Ok(([high, low], request))
}

/// The text at the start, after its length in `N` bytes.
fn text<const N: usize>(body: &[u8]) -> Result<String> {
    let (length, rest) = body.split_at_checked(N).context("no length")?;
    let length = length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
    Ok(std::str::from_utf8(rest.get(..length).context("cut off")?)?.to_owned())
}

/// Sends the response to the request with this stream id.
pub async fn write(stream: &mut TcpStream, number: [u8; 2], response: Response) -> Result<()> {
    let (operation, body) = encode(response)?;
    let mut frame = vec![RESPONSE, 0, number[0], number[1], operation];
    frame.extend(size(body.len())?);
    frame.extend(body);
    Ok(stream.write_all(&frame).await?)
}

fn encode(response: Response) -> Result<(u8, Vec<u8>)> {
    let mut body = Vec::new();
    let operation = match response {
        Response::Invalid(message) => {
            body.extend([0, 0, 0x22, 0]);
            string(&mut body, &message)?;
            0x00
        }
        Response::Ready => 0x02,
        Response::Authenticate => {
            string(&mut body, "org.apache.cassandra.auth.PasswordAuthenticator")?;
            0x03
        }
        Response::Supported => {
            body.extend([0, 0]);
            0x06
        }
        Response::LoggedIn => {
            body.extend([0xff; 4]);
            0x10
        }
        Response::Void => {
            body.extend([0, 0, 0, 1]);
            0x08
        }
        Response::Prepared(statement) => {
            body.extend([0, 0, 0, 4]);
            string(&mut body, &statement)?;
            // No variables, and no description of the rows yet.
            body.extend([0; 12]);
            body.extend([0, 0, 0, 4, 0, 0, 0, 0]);
            0x08
        }
        Response::Rows { columns, rows } => {
            body.extend([0, 0, 0, 2]);
            table(&mut body, &columns, &rows)?;
            0x08
        }
    };
    Ok((operation, body))
}

fn table(body: &mut Vec<u8>, columns: &[String], rows: &[Value]) -> Result<()> {
    body.extend([0, 0, 0, 1]);
    body.extend(size(columns.len())?);
    string(body, "keyspace")?;
    string(body, "table")?;
    for column in columns {
        string(body, column)?;
        body.extend(Kind::of(column).code());
    }
    body.extend(size(rows.len())?);
    for row in rows {
        for column in columns {
            let cell = Kind::of(column).cell(&row[column]).with_context(|| format!("{column} in {row}"))?;
            bytes(body, &cell)?;
        }
    }
    Ok(())
}

/// The types of the columns that the operators and their driver read.
enum Kind {
    Text,
    Texts,
    Map,
    Uuid,
    Inet,
    Int,
    Bool,
}

impl Kind {
    /// Columns of the same name have the same type, in all tables.
    fn of(column: &str) -> Self {
        match column {
            "host_id" | "schema_version" | "value" => Self::Uuid,
            "address" | "peer" | "rpc_address" => Self::Inet,
            "generation" | "heartbeat" => Self::Int,
            "can_login" | "durable_writes" | "is_superuser" => Self::Bool,
            "tokens" => Self::Texts,
            "replication" => Self::Map,
            _ => Self::Text,
        }
    }

    fn code(&self) -> &'static [u8] {
        match self {
            Self::Text => &[0, 0x0d],
            Self::Texts => &[0, 0x22, 0, 0x0d],
            Self::Map => &[0, 0x21, 0, 0x0d, 0, 0x0d],
            Self::Uuid => &[0, 0x0c],
            Self::Inet => &[0, 0x10],
            Self::Int => &[0, 0x09],
            Self::Bool => &[0, 0x04],
        }
    }

    fn cell(&self, value: &Value) -> Result<Vec<u8>> {
        let text = || value.as_str().context("no text");
        let mut cell = Vec::new();
        match self {
            Self::Text => cell.extend(text()?.bytes()),
            Self::Texts => {
                let texts = value.as_array().context("no list")?;
                cell.extend(size(texts.len())?);
                for text in texts {
                    bytes(&mut cell, text.as_str().context("no text")?.as_bytes())?;
                }
            }
            Self::Map => {
                let map = value.as_object().context("no map")?;
                cell.extend(size(map.len())?);
                for (key, value) in map {
                    bytes(&mut cell, key.as_bytes())?;
                    bytes(&mut cell, value.as_str().context("no text")?.as_bytes())?;
                }
            }
            Self::Uuid => cell.extend(u128::from_str_radix(&text()?.replace('-', ""), 16)?.to_be_bytes()),
            Self::Inet => match text()?.parse()? {
                IpAddr::V4(address) => cell.extend(address.octets()),
                IpAddr::V6(address) => cell.extend(address.octets()),
            },
            Self::Int => cell.extend(i32::try_from(value.as_i64().context("no number")?)?.to_be_bytes()),
            Self::Bool => cell.push(u8::from(value.as_bool().context("no bool")?)),
        }
        Ok(cell)
    }
}

fn size(length: usize) -> Result<[u8; 4]> {
    Ok(i32::try_from(length)?.to_be_bytes())
}

fn string(body: &mut Vec<u8>, text: &str) -> Result<()> {
    body.extend(u16::try_from(text.len())?.to_be_bytes());
    body.extend(text.bytes());
    Ok(())
}

fn bytes(body: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    body.extend(size(bytes.len())?);
    body.extend(bytes);
    Ok(())
}
