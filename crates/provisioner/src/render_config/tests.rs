use rstest::rstest;

use super::*;

const BASE: &str = "cluster_name: 'Test Cluster'
num_tokens: 16
read_request_timeout: 5000ms
authenticator: AllowAllAuthenticator
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: \"127.0.0.1:7000\"
";

const OPERATOR: &str = r#"cluster_name: "db"
authenticator: "PasswordAuthenticator"
seed_provider: [{"class_name":"org.apache.cassandra.locator.SimpleSeedProvider","parameters":[{"seeds":"db-rack-a-0.db-rack-a-pods.ns.svc,db-rack-b-0.db-rack-b-pods.ns.svc"}]}]
"#;

fn node() -> Node {
    Node {
        ip: "10.0.0.7".parse().unwrap(),
        pod: "db-rack-a-0".to_owned(),
        rack: "a".to_owned(),
        datacenter: "dc1".to_owned(),
    }
}

fn render(user: Option<&str>, inline: Option<&str>) -> Result<Rendered, Error> {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let sources = Sources {
        base: BASE.to_owned(),
        user: text(user),
        inline: text(inline),
        operator: OPERATOR.to_owned(),
    };
    sources.render(&node(), serde_yaml::Mapping::new(), true)
}

#[test]
fn the_operator_wins_over_inline_over_secret_over_image() {
    let rendered = render(
        Some("num_tokens: 8\nconcurrent_reads: 10\nread_request_timeout_in_ms: 9000\n"),
        Some("num_tokens: 4\n"),
    );
    insta::assert_snapshot!(rendered.unwrap().cassandra_yaml, @r"
    concurrent_reads: 10
    read_request_timeout_in_ms: 9000
    num_tokens: 4
    cluster_name: db
    authenticator: PasswordAuthenticator
    seed_provider:
    - class_name: org.apache.cassandra.locator.SimpleSeedProvider
      parameters:
      - seeds: 10.0.0.7,db-rack-b-0.db-rack-b-pods.ns.svc
    listen_address: 10.0.0.7
    broadcast_rpc_address: 10.0.0.7
    ");
}

#[rstest]
#[case::owned(
    "cluster_name: mine",
    "cluster_name is set by the operator (it is the name of the Cassandra object)"
)]
#[case::owned_nested("seed_provider: []", "seed_provider is set by the operator")]
#[case::only_version_5(
    "native_transport_allow_older_protocols: false",
    "must not be false: the operator asks"
)]
#[case::only_version_5_in_another_word("native_transport_allow_older_protocols: no", "must not be false")]
#[case::no_yaml("num_tokens: [1", "it is no valid YAML")]
#[case::duplicate("num_tokens: 1\nnum_tokens: 2", "duplicate")]
#[case::both_spellings(
    "read_request_timeout: 1s\nread_request_timeout_in_ms: 2",
    "read_request_timeout and read_request_timeout_in_ms are two names of one setting"
)]
#[case::no_mapping("just text", "it must be a list of `setting: value`")]
#[case::list("- a\n- b", "it must be a list of `setting: value`")]
#[case::number_as_key("1: x", "is no name of a setting")]
fn what_the_user_must_not_say_is_named(#[case] user: &str, #[case] problem: &str) {
    for (secret, inline, origin) in
        [(Some(user), None, "spec.configuration.secretName"), (None, Some(user), "spec.configuration.inline")]
    {
        let error = render(secret, inline).err().expect("it is refused").to_string();
        assert!(error.starts_with(origin), "{error}");
        assert!(error.contains(problem), "{error}");
    }
    // The same problem is found before there is a pod.
    let early = super::problem(user, false).expect("it is known");
    assert!(early.contains(problem), "{early}");
}

/// A ring created with such a setting keeps running.
#[rstest]
#[case("auto_bootstrap: false")]
#[case("allocate_tokens_for_local_replication_factor: 2")]
#[case("allocate_tokens_for_keyspace: shop")]
fn how_nodes_join_is_the_operators_for_new_rings(#[case] user: &str) {
    assert!(super::problem(user, true).expect("it is refused").contains("is set by the operator"));
    assert_eq!(super::problem(user, false), None);
}

#[rstest]
#[case("")]
#[case("# nothing yet\n")]
fn a_user_may_say_nothing(#[case] user: &str) {
    let nothing = render(None, None).unwrap().cassandra_yaml;
    assert_eq!(render(Some(user), Some(user)).unwrap().cassandra_yaml, nothing);
}

/// Cassandra refuses `commitlog_sync_period`, which every image has, beside any mode but the periodic one.
#[rstest]
#[case::batch("commitlog_sync: batch", "commitlog_sync: batch")]
#[case::group(
    "commitlog_sync: group\ncommitlog_sync_group_window: 15ms",
    "commitlog_sync: group commitlog_sync_group_window: 15ms"
)]
#[case::periodic("commitlog_sync: periodic", "commitlog_sync_period: 10000ms commitlog_sync: periodic")]
#[case::own_period(
    "commitlog_sync_period_in_ms: 500",
    "commitlog_sync: periodic commitlog_sync_period_in_ms: 500"
)]
#[case::both_are_the_users(
    "commitlog_sync: batch\ncommitlog_sync_period: 0ms",
    "commitlog_sync: batch commitlog_sync_period: 0ms"
)]
#[case::removed("commitlog_sync_period:", "commitlog_sync: periodic")]
#[case::removed_by_its_other_name("commitlog_sync_period_in_ms: null", "commitlog_sync: periodic")]
fn another_mode_of_the_commit_log_takes_the_period_of_the_image_away(
    #[case] user: &str,
    #[case] rendered: &str,
    #[values("commitlog_sync_period: 10000ms", "commitlog_sync_period_in_ms: 10000")] period: &str,
) {
    let mut settings = yaml::parse(&format!("commitlog_sync: periodic\n{period}\n")).unwrap();
    yaml::lay_over(&mut settings, yaml::parse(user).unwrap()).unwrap();
    let printed = yaml::print(&settings).unwrap().replace('\n', " ");
    assert_eq!(
        printed.trim_end().split(' ').collect::<std::collections::BTreeSet<_>>(),
        rendered.replace("commitlog_sync_period: 10000ms", period).split(' ').collect()
    );
}

#[test]
fn null_removes_a_setting_of_the_image_and_of_the_secret() {
    let rendered = render(Some("concurrent_reads: 10\n"), Some("concurrent_reads: null\nnum_tokens: ~\n"));
    let rendered = rendered.unwrap().cassandra_yaml;
    assert!(!rendered.contains("concurrent_reads") && !rendered.contains("num_tokens"), "{rendered}");
    assert!(rendered.contains("read_request_timeout: 5000ms"), "{rendered}");
}

/// Settings that other operators have lost: `false`, and older spellings.
#[test]
fn odd_but_legal_values_arrive() {
    let odd = "auto_snapshot: false
rpc_keepalive: false
native_transport_allow_older_protocols: yes
enable_materialized_views: true
enable_sasi_indexes: on
commitlog_segment_size_in_mb: 16
permissions_validity_in_ms: 3_000
table_count_warn_threshold: 10
tables_warn_threshold: 20
cross_node_timeout: true
";
    let rendered = render(None, Some(odd)).unwrap().cassandra_yaml;
    for line in odd.lines() {
        let quoted = line.replace(": ", ": '") + "'";
        assert!(rendered.contains(line) || rendered.contains(&quoted), "{line}: {rendered}");
    }
    assert_eq!(problem(odd, true), None);
}

/// Text that YAML 1.1 would read as another type must be written so that Cassandra reads what it would have read originally.
#[rstest]
#[case("on", &["on", "'on'", "\"on\""])]
#[case("yes", &["yes", "'yes'", "\"yes\""])]
#[case("off", &["off", "'off'", "\"off\""])]
#[case("0777", &["0777", "'0777'", "\"0777\""])]
#[case("10:30", &["10:30", "'10:30'", "\"10:30\""])]
#[case("1_000", &["1_000", "'1_000'", "\"1_000\""])]
#[case("10s", &["10s"])]
#[case("64KiB", &["64KiB"])]
#[case("true", &["true"])]
#[case("null", &["null"])]
#[case("-1", &["-1"])]
#[case("8.0", &["8.0"])]
#[case("0.10", &["0.1", "0.10"])]
#[case("'true'", &["'true'", "\"true\""])]
#[case("'12'", &["'12'", "\"12\""])]
#[case("\"a: b # c\"", &["'a: b # c'", "\"a: b # c\""])]
fn a_value_survives_the_round_trip(#[case] value: &str, #[case] same: &[&str]) {
    let printed = yaml::print(&yaml::parse(&format!("setting: {value}\n")).unwrap()).unwrap();
    let printed = printed.trim_end().strip_prefix("setting: ").unwrap();
    assert!(same.contains(&printed), "{value} became {printed}");
}

#[test]
fn nested_values_survive_the_round_trip() {
    let text = "options:\n  enabled: on\n  ciphers: [A, B]\n  parameters:\n  - key: '1'\n    other: |\n      two\n      lines\n";
    let once = yaml::parse(text).unwrap();
    let twice = yaml::parse(&yaml::print(&once).unwrap()).unwrap();
    assert_eq!(once, twice);
}

#[test]
fn rackdc_names_datacenter_and_rack() {
    assert_eq!(rackdc::properties("dc1", "a"), "dc=dc1\nrack=a\n");
}
