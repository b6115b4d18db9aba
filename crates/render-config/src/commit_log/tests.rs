use rstest::{fixture, rstest};

use super::*;

const ID: u64 = 0x0000_0191_2345_6789;
const HISTORY: Uuid = COLUMNS[0].id;
const USER: Uuid = uuid!("11111111-2222-4333-8444-555555555555");

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

#[fixture]
fn folder() -> Folder {
    let folder = std::env::temp_dir().join(format!("commit-log-{}", Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    Folder(folder)
}

impl Folder {
    fn segment(&self) -> PathBuf {
        self.0.join(format!("CommitLog-7-{ID}.log"))
    }

    fn holds(&self, bytes: &[u8]) -> &Self {
        std::fs::write(self.segment(), bytes).unwrap();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.segment()).unwrap()
    }

    fn adapt(&self, release: Line) -> Vec<String> {
        adapt(&self.0, release).unwrap()
    }
}

/// A segment as Cassandra writes it: sections of writes, padded with zeros to its full size.
fn segment(parameters: &str, sections: &[&[Vec<u8>]]) -> Vec<u8> {
    let mut bytes = VERSION.to_be_bytes().to_vec();
    bytes.extend(ID.to_be_bytes());
    let length = u16::try_from(parameters.len()).unwrap();
    bytes.extend(length.to_be_bytes());
    bytes.extend(parameters.as_bytes());
    let mut hasher = hasher_of_ints(&[VERSION, low(ID), high(ID), length.into()]);
    hasher.update(parameters.as_bytes());
    bytes.extend(hasher.finalize().to_be_bytes());
    for section in sections {
        let position = u32::try_from(bytes.len()).unwrap();
        let body: Vec<u8> = section.iter().flatten().copied().collect();
        let end = position + 8 + u32::try_from(body.len()).unwrap();
        bytes.extend(end.to_be_bytes());
        bytes.extend(checksum_of_ints(&[low(ID), high(ID), position]).to_be_bytes());
        bytes.extend(body);
    }
    bytes.resize(bytes.len() + 4096, 0);
    bytes
}

fn entry(table: Uuid, content: &[u8]) -> Vec<u8> {
    let mut data = vec![1];
    data.extend(table.as_bytes());
    data.extend(content);
    let size = u32::try_from(data.len()).unwrap();
    let checksum = Data { position: 0, bytes: data.clone() }.checksum();
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.extend(checksum_of_ints(&[size]).to_be_bytes());
    bytes.extend(data);
    bytes.extend(checksum.to_be_bytes());
    bytes
}

const NEW: &[u8] = b"\x02\x0abytes_read\x15compaction_properties and the row";
const OLD: &[u8] = b"\x01\x0abytes_read and the row";

/// A segment of a node that was killed in the middle of its last section: zeros where the next header would be.
fn of_a_killed_node(history: Uuid) -> Vec<u8> {
    let rows = |n: u8| entry(USER, &[b"a row with \x15compaction_properties in it ", &[n][..]].concat());
    let mut bytes = segment(
        "{}",
        &[&[rows(1), entry(history, NEW), rows(2)], &[entry(HISTORY, OLD), rows(3), entry(history, NEW)]],
    );
    let end = bytes.len() - 4096 + 8;
    let unmarked = entry(HISTORY, NEW);
    bytes[end..end + unmarked.len()].copy_from_slice(&unmarked);
    bytes
}

#[rstest]
fn only_what_the_older_release_cannot_read_is_taken_out(folder: Folder) {
    let lines = folder.holds(&of_a_killed_node(HISTORY)).adapt((4, 1));
    assert!(
        lines[0].starts_with("took 2 writes of system.compaction_history out of the commit log"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 1);
    assert_eq!(folder.bytes(), of_a_killed_node(NOWHERE), "all else is as it was, checksums are right");
}

#[rstest]
fn a_second_time_changes_nothing(folder: Folder) {
    folder.holds(&of_a_killed_node(HISTORY)).adapt((4, 1));
    assert_eq!(folder.adapt((4, 1)), Vec::<String>::new());
    assert_eq!(folder.bytes(), of_a_killed_node(NOWHERE));
}

#[rstest]
fn the_release_that_wrote_it_reads_it_as_it_is(folder: Folder) {
    let bytes = of_a_killed_node(HISTORY);
    assert_eq!(folder.holds(&bytes).adapt((5, 0)), Vec::<String>::new());
    assert_eq!(folder.bytes(), bytes);
}

#[rstest]
fn an_interrupted_change_is_finished(folder: Folder) {
    let [before, after] = [HISTORY, NOWHERE].map(of_a_killed_node);
    let torn = before.iter().zip(&after).position(|(a, b)| a != b).unwrap() + 16;
    folder.holds(&[&after[..torn], &before[torn..]].concat()).adapt((4, 1));
    assert_eq!(folder.bytes(), after);
}

#[rstest]
fn serial_reads_of_4_1_are_taken_out_for_4_0_only(folder: Folder) {
    let of = |table| {
        segment("{}", &[&[entry(table, b"\x01\x17in_progress_read_ballot x"), entry(USER, b"row row")]])
    };
    folder.holds(&of(COLUMNS[1].id));
    assert_eq!(folder.adapt((4, 1)), Vec::<String>::new());
    assert_eq!(folder.adapt((4, 0)).len(), 1);
    assert_eq!(folder.bytes(), of(NOWHERE));
}

#[rstest]
#[case::compressed(segment(r#"{"compressionClass":"LZ4Compressor"}"#, &[&[entry(HISTORY, NEW)]]))]
#[case::cut_off_in_its_header(vec![0, 0, 0, 7, 0])]
#[case::empty(vec![])]
#[case::of_another_format([&[0, 0, 0, 8], &of_a_killed_node(HISTORY)[4..]].concat())]
#[case::with_a_damaged_header([&of_a_killed_node(HISTORY)[..16], &[9], &of_a_killed_node(HISTORY)[17..]].concat())]
fn what_cannot_be_read_is_left_as_it_is_and_told(folder: Folder, #[case] bytes: Vec<u8>) {
    let lines = folder.holds(&bytes).adapt((4, 1));
    assert!(lines[0].ends_with("left as it is"), "{lines:?}");
    assert_eq!(folder.bytes(), bytes);
}

#[rstest]
fn damage_in_the_middle_is_left_to_cassandra(folder: Folder) {
    // Up to the zeros at the end.
    for position in 0..of_a_killed_node(HISTORY).len() - 4000 {
        let mut bytes = of_a_killed_node(HISTORY);
        bytes[position] ^= 0x10;
        folder.holds(&bytes).adapt((4, 1));
        let now = folder.bytes();
        assert_eq!(now.len(), bytes.len());
        // Only ids and their checksums ever change.
        assert!(
            now.iter().zip(&bytes).filter(|(a, b)| a != b).count() <= 2 * (16 + 4),
            "damage at {position}"
        );
    }
}

#[rstest]
fn a_node_without_a_commit_log_has_nothing_to_take_out(folder: Folder) {
    assert_eq!(adapt(&folder.0.join("commitlog"), (4, 1)).unwrap(), Vec::<String>::new());
    std::fs::write(folder.0.join("CommitLog-7-1_cdc.idx"), "1").unwrap();
    assert_eq!(folder.adapt((4, 1)), Vec::<String>::new());
}
