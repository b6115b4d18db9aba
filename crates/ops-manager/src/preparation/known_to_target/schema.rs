//! Compares what the schema uses with what each release has. `docs/concepts/update-checks.md` lists the sources.

use std::collections::BTreeSet;

use cassandra::schema::{By, Relation, Use, quoted};
use semver::Version;

use super::finding::Finding;

const COMPACTION: &str = "org.apache.cassandra.db.compaction.";
const COMPRESSION: &str = "org.apache.cassandra.io.compress.";
const REPLICATION: &str = "org.apache.cassandra.locator.";
const INDEX: &str = "org.apache.cassandra.index.";
const TYPES: &str = "org.apache.cassandra.db.marshal.";

/// Cassandra's own classes by package, over all releases. Any other class is the user's and not part of a release.
const OWN: [(&str, &[&str]); 4] = [
    (
        COMPACTION,
        &[
            "SizeTieredCompactionStrategy",
            "LeveledCompactionStrategy",
            "TimeWindowCompactionStrategy",
            "DateTieredCompactionStrategy",
            "UnifiedCompactionStrategy",
        ],
    ),
    (
        COMPRESSION,
        &["LZ4Compressor", "SnappyCompressor", "DeflateCompressor", "ZstdCompressor", "NoopCompressor"],
    ),
    (
        REPLICATION,
        &["SimpleStrategy", "NetworkTopologyStrategy", "LocalStrategy", "OldNetworkTopologyStrategy"],
    ),
    (INDEX, &["sasi.SASIIndex", "sai.StorageAttachedIndex"]),
];

/// Finds what the schema uses and a node of this release does not know. Used for the target, and for the source of a roll-back.
pub fn unknown_to(release: &Version, uses: &[Use]) -> Vec<Finding> {
    uses.iter().filter_map(|it| unknown(release, it)).collect()
}

fn unknown(release: &Version, it: &Use) -> Option<Finding> {
    let since_5_0 = (release.major, release.minor) >= (5, 0);
    let keyspace = quoted(&it.keyspace);
    let own = |package| it.names.strip_prefix(package).unwrap_or(&it.names);
    let stops = |why: String, help: String| Some(Finding { what: it.to_string(), why, help, fatal: true });
    match &it.by {
        By::Compaction(relation) => match own(COMPACTION) {
            class @ "DateTieredCompactionStrategy" if since_5_0 => stops(
                format!("{class} was removed in 5.0"),
                alter_compaction(&keyspace, relation, "TimeWindowCompactionStrategy"),
            ),
            class @ "UnifiedCompactionStrategy" if !since_5_0 => stops(
                format!("{class} came with 5.0"),
                alter_compaction(&keyspace, relation, "SizeTieredCompactionStrategy"),
            ),
            _ => None,
        },
        By::Index(name) if is_sai(&it.names) && !since_5_0 => stops(
            "storage-attached indexes came with 5.0".to_owned(),
            format!("DROP INDEX {keyspace}.{}", quoted(name)),
        ),
        By::Function { signature, aggregates } if it.names != "java" && since_5_0 => {
            let drop = |kind, signature: &String| format!("DROP {kind} {keyspace}.{signature}");
            let aggregates = aggregates.iter().map(|it| drop("AGGREGATE", it));
            let all: Vec<String> = aggregates.chain([drop("FUNCTION", signature)]).collect();
            Some(Finding {
                what: it.to_string(),
                why: format!("functions in {} were removed in 5.0: every call would fail", it.names),
                help: all.join("; "),
                fatal: false,
            })
        }
        By::Column { table, .. } if it.names.contains("vector<") && !since_5_0 => stops(
            format!("type {} came with 5.0", it.names),
            format!("DROP TABLE {keyspace}.{}; to drop the column is not enough", quoted(table)),
        ),
        By::DroppedColumn { table, .. } if it.names.contains("vector<") && !since_5_0 => stops(
            format!("the schema keeps its type {}, which came with 5.0", it.names),
            format!("DROP TABLE {keyspace}.{}", quoted(table)),
        ),
        By::Field { type_, .. } if it.names.contains("vector<") && !since_5_0 => stops(
            format!("type {} came with 5.0", it.names),
            format!("DROP TYPE {keyspace}.{}, after the tables that use it", quoted(type_)),
        ),
        By::Mask { table, name } if !since_5_0 => Some(Finding {
            what: it.to_string(),
            why: "masks came with 5.0: older releases show its values to everybody who may read".to_owned(),
            help: format!(
                "ALTER TABLE {keyspace}.{} ALTER {} DROP MASKED, if that may be",
                quoted(table),
                quoted(name)
            ),
            fatal: false,
        }),
        By::TableOption(_) => {
            let (line, came_with) = match it.names.as_str() {
                "memtable" => ((4, 1), "4.1"),
                _ => ((5, 0), "5.0"),
            };
            // Nothing removes the column from the files of system_schema, neither ALTER nor compaction. At its start, an older
            // node skips those files and so loses the tables in them.
            ((release.major, release.minor) < line).then(|| Finding {
                what: it.to_string(),
                why: format!(
                    "its option {} came with {came_with}: an older node leaves out what its schema says of the tables",
                    it.names
                ),
                help: "no statement takes that back: stay on the newer release".to_owned(),
                fatal: true,
            })
        }
        By::Replication if own(REPLICATION) == "OldNetworkTopologyStrategy" && release.major >= 4 => stops(
            "OldNetworkTopologyStrategy was removed in 4.0".to_owned(),
            format!(
                "ALTER KEYSPACE {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', ...}}"
            ),
        ),
        _ => None,
    }
}

/// The classes of the user's that a part of the schema uses. No release has them, so the image must bring them.
pub(crate) fn foreign(it: &Use) -> Vec<String> {
    let package = match &it.by {
        By::Replication => REPLICATION,
        By::Compaction(_) => COMPACTION,
        By::Compression(_) => COMPRESSION,
        By::Index(_) if is_sai(&it.names) || it.names == "SASIIndex" => return vec![],
        By::Index(_) | By::Trigger { .. } => "",
        By::Column { .. } | By::DroppedColumn { .. } | By::Field { .. } => return classes_of(&it.names),
        By::Function { .. } | By::Mask { .. } | By::TableOption(_) => return vec![],
    };
    let class = if it.names.contains('.') { it.names.clone() } else { format!("{package}{}", it.names) };
    let own = |(package, names): &(&str, &[&str])| {
        class.strip_prefix(package).is_some_and(|name| names.contains(&name))
    };
    if OWN.iter().any(own) { vec![] } else { vec![class] }
}

/// Extracts the user's classes from a type, such as `frozen<list<'com.example.Money'>>` or
/// `'org.apache.cassandra.db.marshal.DynamicCompositeType(a=>com.example.A)'`.
fn classes_of(type_: &str) -> Vec<String> {
    let words = type_.split('\'').skip(1).step_by(2).flat_map(|text| text.split(|c| !is_of_a_class(c)));
    let classes: BTreeSet<&str> =
        words.filter(|word| word.contains('.') && !word.starts_with(TYPES)).collect();
    classes.into_iter().map(str::to_owned).collect()
}

pub(crate) fn is_of_a_class(c: char) -> bool {
    c.is_alphanumeric() || ['.', '_', '$'].contains(&c)
}

/// The finding for a class of the user's that is not in the image.
pub(crate) fn absent(it: &Use, class: &str, image: &str) -> Finding {
    let keyspace = quoted(&it.keyspace);
    let jar = "put its jar into /opt/cassandra/lib of the image";
    let help = match &it.by {
        By::Trigger { table, name } => format!(
            "put its jar into /etc/cassandra/triggers of the image, or DROP TRIGGER {} ON {keyspace}.{}",
            quoted(name),
            quoted(table)
        ),
        By::Index(name) => format!("{jar}, or DROP INDEX {keyspace}.{}", quoted(name)),
        By::Compaction(relation) => {
            let alter = alter_compaction(&keyspace, relation, "SizeTieredCompactionStrategy");
            format!("{jar}, or {alter}")
        }
        By::Compression(relation) => format!(
            "{jar}, or {} WITH compression = {{'class': 'LZ4Compressor'}} and nodetool upgradesstables -a",
            alter(&keyspace, relation)
        ),
        By::Replication => {
            format!(
                "{jar}, or ALTER KEYSPACE {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', ...}}"
            )
        }
        _ => jar.to_owned(),
    };
    let trigger = matches!(it.by, By::Trigger { .. });
    let effect = if trigger { ": every write to the table would fail" } else { "" };
    Finding {
        what: it.to_string(),
        why: format!("class {class} is not in image {image}{effect}"),
        help,
        fatal: !trigger,
    }
}

/// Cassandra accepts these names in upper and lower case, and stores them as given.
fn is_sai(class: &str) -> bool {
    ["sai", "storageattachedindex"].contains(&class.to_lowercase().as_str())
        || class.strip_prefix(INDEX) == Some("sai.StorageAttachedIndex")
}

fn alter(keyspace: &str, relation: &Relation) -> String {
    let kind = if matches!(relation, Relation::View(_)) { "MATERIALIZED VIEW" } else { "TABLE" };
    format!("ALTER {kind} {keyspace}.{}", quoted(relation.name()))
}

fn alter_compaction(keyspace: &str, relation: &Relation, class: &str) -> String {
    format!("{} WITH compaction = {{'class': '{class}'}}", alter(keyspace, relation))
}
