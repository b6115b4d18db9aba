//! Makes a commit log left by a newer release readable for the older release that is about to start.
//!
//! A node that stops cleanly leaves nothing to replay. A node that is killed leaves its last writes in the commit log, and
//! among them rows of Cassandra's own tables with columns that only the newer release knows. The older release deserializes
//! each write before it checks whether it needs it, fails at the first such row (`Unknown column compaction_properties during
//! deserialization`), and never starts again. With `-Dcassandra.commitlog.ignorereplayerrors=true` it would skip these rows,
//! but also anything else that it cannot read, including rows of users.
//!
//! So only those writes are taken out before the start, and Cassandra stays strict: if it starts, it has read all the rest. A
//! write is taken out by changing its table id to one that does not exist; Cassandra skips such writes and counts them in its
//! log ("Skipped 6 mutations from unknown (probably removed) CF"). That changes 16 bytes and their checksum in place: it needs
//! no space on the volume, and the next start completes an interrupted change.
//!
//! The format is that of Cassandra 4.0 and later (see `CommitLogDescriptor`, `CommitLogSegmentReader` and `CommitLogReader` in
//! its sources). Compressed and encrypted segments are left alone.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crc32fast::Hasher;
use uuid::{Uuid, uuid};

/// A release line: major and minor number.
pub(crate) type Line = (u64, u64);

/// A column of one of Cassandra's own tables that an older release does not know and can do without.
struct Column {
    /// Keyspace and table.
    table: &'static str,
    /// Id of the table in the commit log. It is derived from the name, so it is the same in every ring.
    id: Uuid,
    name: &'static str,
    /// The first release line that knows the column.
    since: Line,
}

/// Found by comparing `SystemKeyspace` of 4.0.17, 4.1.10 and 5.0.6. New columns of `system_schema` are left out on purpose: they
/// are written only for options of a user's table, which must not get lost silently.
const COLUMNS: [Column; 2] = [
    // A history of compactions, kept for a week.
    Column {
        table: "system.compaction_history",
        id: uuid!("b4dbb7b4-dc49-3fb5-b3bf-ce6e434832ca"),
        name: "compaction_properties",
        since: (5, 0),
    },
    // A promise to reject conditional writes (Paxos) older than a serial read. If it is lost, a write that was still in flight
    // when the read ended may be accepted; it then counts as later than the read.
    Column {
        table: "system.paxos",
        id: uuid!("b7b7f0c2-fd0a-3410-8c05-3ef614bb7c2d"),
        name: "in_progress_read_ballot",
        since: (4, 1),
    },
];

/// Id of a table that does not exist.
const NOWHERE: Uuid = uuid!("0d15ca4d-ed00-4000-8000-000000000000");

/// Commit log version of all releases from 4.0 on. 5.0 writes another one only if its storage compatibility mode was raised,
/// and then there is no way back anyway.
const VERSION: u32 = 7;
/// Length of a section's header: a position and a checksum.
const MARKER: u64 = 8;
/// Size of the smallest write that Cassandra accepts, in bytes.
const SMALLEST: u32 = 10;

/// Takes out the writes that `release` cannot read and does not need. Returns a log line for each table that lost writes and for
/// each segment that could not be read.
pub(crate) fn adapt(folder: &Path, release: Line) -> io::Result<Vec<String>> {
    let unknown: Vec<&Column> = COLUMNS.iter().filter(|column| release < column.since).collect();
    if unknown.is_empty() {
        return Ok(vec![]);
    }
    let mut lines = vec![];
    let mut counts = vec![0_usize; unknown.len()];
    for path in segments(folder)? {
        match Segment::open(&path)? {
            Some(segment) => segment.take_out(&unknown, &mut counts)?,
            None => {
                lines.push(format!("{} is compressed, encrypted or damaged: left as it is", path.display()));
            }
        }
    }
    for (column, count) in unknown.iter().zip(counts).filter(|(_, count)| *count > 0) {
        let Column { table, name, since: (major, minor), .. } = column;
        lines.push(format!(
            "took {count} writes of {table} out of the commit log: release {major}.{minor} or later wrote them with the column {name}, \
             which this release does not know"
        ));
    }
    Ok(lines)
}

fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let is_segment = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("CommitLog-"))
            && path.extension().is_some_and(|it| it == "log")
    };
    paths.retain(is_segment);
    paths.sort();
    Ok(paths)
}

/// A file of the commit log.
struct Segment {
    file: File,
    length: u64,
    id: u64,
    /// Where the first section begins.
    start: u64,
}

impl Segment {
    /// `None`: this code cannot read the segment. It is left for Cassandra to judge.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let mut reader = BufReader::new(&file);
        Ok(match header(&mut reader) {
            Ok(Some((id, start))) => Some(Self { file, length, id, start }),
            Ok(None) => None,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        })
    }

    /// Goes through the sections as far as Cassandra does, which also reads nothing after the last valid section header.
    fn take_out(&self, unknown: &[&Column], counts: &mut [usize]) -> io::Result<()> {
        let mut reader = BufReader::new(&self.file);
        let mut position = self.start;
        while let Some(end) = self.marker(&mut reader, position)? {
            position += MARKER;
            while let Some((data, crc)) = write(&mut reader, &mut position, end)? {
                let Some(id) = table(&data.bytes) else { continue };
                let found = unknown.iter().position(|it| it.id == id && data.names(it.name));
                // An earlier run was interrupted after it changed the id and before it changed the checksum.
                let unfinished = id == NOWHERE && data.checksum() != crc;
                if found.is_some() && data.checksum() == crc || unfinished {
                    self.give_away(data)?;
                }
                if let Some(column) = found {
                    counts[column] += 1;
                }
            }
            position = end;
        }
        self.file.sync_data()
    }

    fn give_away(&self, mut data: Data) -> io::Result<()> {
        let id = NOWHERE.as_bytes();
        data.bytes[1..=id.len()].copy_from_slice(id);
        self.file.write_all_at(id, data.position + 1)?;
        let end = data.position + data.bytes.len() as u64;
        self.file.write_all_at(&data.checksum().to_be_bytes(), end)
    }

    /// Where the section that begins at `position` ends; `None` after the last one.
    fn marker(&self, reader: &mut BufReader<&File>, position: u64) -> io::Result<Option<u64>> {
        if position + MARKER > self.length {
            return Ok(None);
        }
        reader.seek(SeekFrom::Start(position))?;
        let (end, crc) = (u64::from(int(reader)?), int(reader)?);
        let expected = checksum_of_ints(&[low(self.id), high(self.id), low(position)]);
        Ok((crc == expected && (position + MARKER..=self.length).contains(&end)).then_some(end))
    }
}

/// Id of the segment, and where its first section begins.
fn header(reader: &mut impl Read) -> io::Result<Option<(u64, u64)>> {
    let version = int(reader)?;
    let id = u64::from(int(reader)?) << 32 | u64::from(int(reader)?);
    let mut length = [0; 2];
    reader.read_exact(&mut length)?;
    let length = u16::from_be_bytes(length);
    let mut parameters = vec![0; length.into()];
    reader.read_exact(&mut parameters)?;
    let mut hasher = hasher_of_ints(&[version, low(id), high(id), length.into()]);
    hasher.update(&parameters);
    // The parameters are JSON that names the compression or encryption of the sections.
    let plain = parameters == b"{}";
    let good = version == VERSION && plain && hasher.finalize() == int(reader)?;
    Ok(good.then_some((id, 4 + 8 + 2 + u64::from(length) + 4)))
}

/// A serialized mutation: what was written at once to one keyspace.
struct Data {
    /// Offset in the file.
    position: u64,
    bytes: Vec<u8>,
}

impl Data {
    fn checksum(&self) -> u32 {
        // The size fits into 32 bits, since it was read as 32 bits.
        let mut hasher = hasher_of_ints(&[low(self.bytes.len() as u64)]);
        hasher.update(&self.bytes);
        hasher.finalize()
    }

    /// Whether it names this column. Column names come before the rows, each after its length.
    fn names(&self, column: &str) -> bool {
        let mut name = vec![u8::try_from(column.len()).unwrap_or_default()];
        name.extend(column.as_bytes());
        self.bytes.windows(name.len()).any(|window| window == name)
    }
}

/// The next write of a section, with the checksum stored for it. `None`: there is no further one that Cassandra would read.
fn write(reader: &mut impl Read, position: &mut u64, end: u64) -> io::Result<Option<(Data, u32)>> {
    if end.saturating_sub(*position) < 4 {
        return Ok(None);
    }
    let size = int(reader)?;
    let fits = *position + 4 + 4 + u64::from(size) + 4 <= end;
    if size < SMALLEST || !fits || int(reader)? != checksum_of_ints(&[size]) {
        return Ok(None);
    }
    let mut bytes = vec![0; size as usize];
    reader.read_exact(&mut bytes)?;
    let crc = int(reader)?;
    let data = Data { position: *position + 8, bytes };
    *position += 4 + 4 + u64::from(size) + 4;
    Ok(Some((data, crc)))
}

/// Table id of a write to exactly one table: the bytes are the number of tables, then the id of the first.
fn table(bytes: &[u8]) -> Option<Uuid> {
    let (&[1], rest) = bytes.split_first_chunk()? else { return None };
    Some(Uuid::from_bytes(*rest.first_chunk()?))
}

fn int(reader: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

#[expect(clippy::cast_possible_truncation, reason = "this half of it")]
fn low(number: u64) -> u32 {
    number as u32
}

fn high(number: u64) -> u32 {
    low(number >> 32)
}

fn hasher_of_ints(ints: &[u32]) -> Hasher {
    let mut hasher = Hasher::new();
    for int in ints {
        hasher.update(&int.to_be_bytes());
    }
    hasher
}

fn checksum_of_ints(ints: &[u32]) -> u32 {
    hasher_of_ints(ints).finalize()
}

#[cfg(test)]
mod tests;
