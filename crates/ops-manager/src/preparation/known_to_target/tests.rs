use cassandra::schema::{By, Relation};
use rstest::rstest;

use super::look::{command, read};
use super::*;

fn table() -> Relation {
    Relation::Table("orders".to_owned())
}

fn view() -> Relation {
    Relation::View("by_day".to_owned())
}

fn uses(by: By, names: &str) -> Vec<Use> {
    vec![Use { keyspace: "shop".to_owned(), by, names: names.to_owned() }]
}

fn release_of(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn trigger() -> By {
    By::Trigger { table: "orders".to_owned(), name: "audit".to_owned() }
}

fn function(aggregates: &[&str]) -> By {
    let aggregates = aggregates.iter().map(|it| (*it).to_owned()).collect();
    By::Function { signature: "add(int, int)".to_owned(), aggregates }
}

fn column(name: &str) -> By {
    By::Column { table: "orders".to_owned(), name: name.to_owned() }
}

/// Names as a node stores them.
#[rstest]
#[case::gone_strategy(
    "5.0.6",
    By::Compaction(table()),
    "org.apache.cassandra.db.compaction.DateTieredCompactionStrategy",
    "table shop.orders: DateTieredCompactionStrategy was removed in 5.0 \
     (ALTER TABLE shop.orders WITH compaction = {'class': 'TimeWindowCompactionStrategy'})"
)]
#[case::gone_strategy_of_a_view(
    "5.0.6",
    By::Compaction(view()),
    "org.apache.cassandra.db.compaction.DateTieredCompactionStrategy",
    "materialized view shop.by_day: DateTieredCompactionStrategy was removed in 5.0 \
     (ALTER MATERIALIZED VIEW shop.by_day WITH compaction = {'class': 'TimeWindowCompactionStrategy'})"
)]
#[case::script("5.0.6", function(&["total(int)"]), "javascript",
    "function shop.add(int, int): functions in javascript were removed in 5.0: every call would fail \
     (DROP AGGREGATE shop.total(int); DROP FUNCTION shop.add(int, int))")]
#[case::new_strategy(
    "4.1.10",
    By::Compaction(table()),
    "org.apache.cassandra.db.compaction.UnifiedCompactionStrategy",
    "table shop.orders: UnifiedCompactionStrategy came with 5.0 \
     (ALTER TABLE shop.orders WITH compaction = {'class': 'SizeTieredCompactionStrategy'})"
)]
#[case::sai("4.1.10", By::Index("by_name".to_owned()), "StorageAttachedIndex",
    "index shop.by_name: storage-attached indexes came with 5.0 (DROP INDEX shop.by_name)")]
#[case::vector(
    "4.1.10",
    column("embedding"),
    "vector<float, 3>",
    "column embedding of table shop.orders: type vector<float, 3> came with 5.0 \
     (DROP TABLE shop.orders; to drop the column is not enough)"
)]
#[case::dropped_vector("4.1.10", By::DroppedColumn { table: "orders".to_owned(), name: "e".to_owned() }, "vector<float, 3>",
    "dropped column e of table shop.orders: the schema keeps its type vector<float, 3>, which came with 5.0 \
     (DROP TABLE shop.orders)")]
#[case::mask("4.1.10", By::Mask { table: "orders".to_owned(), name: "card".to_owned() }, "mask_inner",
    "column card of table shop.orders: masks came with 5.0: older releases show its values to everybody who may read \
     (ALTER TABLE shop.orders ALTER card DROP MASKED, if that may be)")]
#[case::option(
    "4.1.10",
    By::TableOption(table()),
    "incremental_backups",
    "table shop.orders: its option incremental_backups came with 5.0: an older node leaves out what its schema says of the tables \
     (no statement takes that back: stay on the newer release)"
)]
#[case::memtable(
    "4.0.17",
    By::TableOption(table()),
    "memtable",
    "table shop.orders: its option memtable came with 4.1: an older node leaves out what its schema says of the tables \
     (no statement takes that back: stay on the newer release)"
)]
fn what_a_release_does_not_know_is_named_with_what_helps(
    #[case] release: &str,
    #[case] by: By,
    #[case] names: &str,
    #[case] said: &str,
) {
    let found = unknown_to(&release_of(release), &uses(by, names));
    assert_eq!(found.iter().map(Finding::to_string).collect::<Vec<_>>(), [said]);
}

#[rstest]
#[case("4.1.10", By::Compaction(table()), "org.apache.cassandra.db.compaction.DateTieredCompactionStrategy")]
#[case("5.0.6", By::Compaction(table()), "org.apache.cassandra.db.compaction.UnifiedCompactionStrategy")]
#[case("5.0.6", By::Compaction(table()), "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy")]
#[case("5.0.6", By::Compression(table()), "org.apache.cassandra.io.compress.LZ4Compressor")]
#[case("5.0.6", By::Replication, "org.apache.cassandra.locator.NetworkTopologyStrategy")]
#[case("5.0.6", By::Index("by_name".to_owned()), "org.apache.cassandra.index.sasi.SASIIndex")]
#[case("5.0.6", By::Index("by_name".to_owned()), "sai")]
#[case("5.0.6", function(&[]), "java")]
#[case("4.1.10", function(&[]), "javascript")]
#[case("5.0.6", column("embedding"), "vector<float, 3>")]
#[case("4.1.10", By::TableOption(table()), "memtable")]
#[case(
    "5.0.6",
    column("c"),
    "'org.apache.cassandra.db.marshal.DynamicCompositeType(a=>org.apache.cassandra.db.marshal.BytesType)'"
)]
fn what_a_release_has_is_no_finding_and_is_not_looked_for(
    #[case] release: &str,
    #[case] by: By,
    #[case] names: &str,
) {
    let uses = uses(by, names);
    assert_eq!(unknown_to(&release_of(release), &uses), []);
    assert!(foreign(&uses).is_empty());
}

#[rstest]
#[case(trigger(), "com.example.Audit", &["com.example.Audit"])]
#[case(By::Index("i".to_owned()), "com.example.Lookup", &["com.example.Lookup"])]
#[case(By::Compaction(table()), "com.jeffjirsa.cassandra.db.compaction.TimeWindowCompactionStrategy",
    &["com.jeffjirsa.cassandra.db.compaction.TimeWindowCompactionStrategy"])]
#[case(By::Compression(table()), "org.apache.cassandra.io.compress.OurCompressor",
    &["org.apache.cassandra.io.compress.OurCompressor"])]
#[case(By::Replication, "com.example.Everywhere", &["com.example.Everywhere"])]
#[case(column("c"), "frozen<map<text, 'com.example.Money(org.apache.cassandra.db.marshal.Int32Type)'>>",
    &["com.example.Money"])]
fn classes_of_the_users_are_looked_for(#[case] by: By, #[case] names: &str, #[case] classes: &[&str]) {
    let uses = uses(by, names);
    assert_eq!(foreign(&uses).into_keys().collect::<Vec<_>>(), classes);
    let help = schema::absent(&uses[0], classes[0], "cassandra:5.0.6");
    assert!(help.to_string().contains(&format!("class {} is not in image cassandra:5.0.6", classes[0])));
}

fn settings(text: &str, release: &str) -> Vec<String> {
    let settings = settings::parse("spec.configuration.inline", text).unwrap();
    not_loaded_by(&release_of(release), &settings).iter().map(Finding::to_string).collect()
}

#[test]
fn a_setting_that_was_removed_is_named_with_what_takes_its_place() {
    let text = "concurrent_reads: 32\nconcurrent_replicates: 16\n";
    let said = settings(text, "5.0.6");
    let expected = "spec.configuration.inline: setting concurrent_replicates: it was removed in 5.0 \
                    (remove it: it has had no effect since 2.1)";
    assert_eq!(said, [expected]);
    assert!(settings(text, "4.1.10").is_empty());
}

#[rstest]
#[case("paxos_repair_race_wait: true", "5.0.4", "release 5.0.4 does not know it yet, 5.0.5 does")]
#[case("paxos_repair_race_wait: true", "4.1.9", "release 4.1.9 does not know it yet, 4.1.10 does")]
#[case("audit_logging_options: {allow_nodetool_archive_command: true}", "4.1.1", "4.1.2 does")]
#[case("enable_scripted_user_defined_functions: yes", "5.0.6", "functions in JavaScript were removed in 5.0")]
fn a_setting_that_the_target_does_not_start_with_is_named(
    #[case] text: &str,
    #[case] release: &str,
    #[case] why: &str,
) {
    let said = settings(text, release);
    assert!(said.len() == 1 && said[0].contains(why), "{said:?}");
}

#[rstest]
#[case("paxos_repair_race_wait: true", "5.0.5")]
#[case("scripted_user_defined_functions_enabled: false", "5.0.6")]
#[case("scripted_user_defined_functions_enabled: true", "4.1.10")]
#[case("read_request_timeout_in_ms: 5000\nread_ahead: 1", "5.0.6")]
#[case("# nothing", "5.0.6")]
fn a_setting_that_the_target_loads_is_no_finding(#[case] text: &str, #[case] release: &str) {
    assert_eq!(settings(text, release), [""; 0]);
}

fn look(classes: &[&str], answer: Option<&str>) -> Look {
    let classes: Vec<String> = classes.iter().map(|it| (*it).to_owned()).collect();
    let container = k8s_openapi::api::core::v1::Container {
        command: Some(command(&look::askable(classes))),
        ..Default::default()
    };
    read(Some(&container), answer)
}

#[test]
fn an_answer_counts_only_if_it_saw_what_every_image_has() {
    let control = "org/apache/cassandra/service/CassandraDaemon.class\n";
    let classes = ["com.example.Audit", "com.example.Outer$Inner"];
    let observed = look(&classes, Some(&format!("com/example/Outer$Inner.class\n{control}")));
    assert_eq!(observed.asked, classes.map(str::to_owned).into());
    assert_eq!(observed.found, Some([classes[1].to_owned()].into()));
    assert_eq!(look(&classes, Some(control)).found, Some(BTreeSet::new()));
    for nothing in [None, Some(""), Some("sh: 3: cannot create /dev/termination-log\n")] {
        assert_eq!(look(&classes, nothing).found, None);
    }
    assert_eq!(look(&[], None), Look::default());
}

#[test]
fn no_shell_reads_a_name() {
    let odd = "com.example.A; rm -rf /";
    assert!(look::askable([odd.to_owned()]).is_empty());
    let command = command(&["com.example.Audit".to_owned()]);
    assert_eq!(command[0..2], ["sh", "-c"]);
    assert!(!command[2].contains("example") && command[4..6] == ["-e", "com/example/Audit.class"]);
}

#[test]
fn an_answer_fits_into_what_the_kubelet_keeps() {
    let many = (0..200).map(|n| format!("com.example.a.rather.long.package.Class{n}"));
    let asked = look::askable(many);
    let bytes: usize = asked.iter().map(|class| class.len() + ".class\n".len()).sum();
    assert!(asked.len() > 50 && bytes < 4096, "{} classes", asked.len());
}

/// Runs the script itself, in folders laid out like those of an image.
#[test]
fn the_look_finds_a_class_in_a_jar_and_in_a_folder() {
    let home = std::env::temp_dir().join(format!("look-{}", std::process::id()));
    let lib = home.join("lib");
    std::fs::create_dir_all(lib.join("org/apache/cassandra/service")).unwrap();
    std::fs::write(lib.join("org/apache/cassandra/service/CassandraDaemon.class"), "").unwrap();
    // Like a jar: a file name between other bytes.
    std::fs::write(lib.join("user.jar"), b"PK\x01\x02\x00com/example/Audit.classPK\x05\x06\x00").unwrap();
    let answer = home.join("answer");
    let mut command = command(&["com.example.Audit".to_owned(), "com.example.Nope".to_owned()]);
    command[2] = command[2].replace("/dev/termination-log", answer.to_str().unwrap());
    let status =
        std::process::Command::new(&command[0]).args(&command[1..]).env("CASSANDRA_HOME", &home).status();
    assert!(status.unwrap().success());
    let said = std::fs::read_to_string(&answer).unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    assert_eq!(said, "com/example/Audit.class\norg/apache/cassandra/service/CassandraDaemon.class\n");
}

#[rstest]
#[case::compressed("4.1.10", "commitlog_compression: [{class_name: LZ4Compressor}]", true)]
#[case::encrypted("4.1.10", "transparent_data_encryption_options: {enabled: yes}", true)]
#[case::not_encrypted("4.1.10", "transparent_data_encryption_options: {enabled: false}", false)]
#[case::taken_away("4.1.10", "commitlog_compression: null", false)]
#[case::within_a_line("5.0.5", "commitlog_compression: [{class_name: LZ4Compressor}]", false)]
fn a_commit_log_that_nobody_else_can_read_limits_the_way_back(
    #[case] source: &str,
    #[case] text: &str,
    #[case] limited: bool,
) {
    let source: CassandraVersion = serde_json::from_value(serde_json::json!({
        "metadata": { "name": "old" }, "spec": { "version": source, "db": { "image": "cassandra" } },
    }))
    .unwrap();
    let settings = settings::parse("Secret s", text).unwrap();
    assert_eq!(limit(&source, &release_of("5.0.6"), &settings).is_some(), limited);
}
