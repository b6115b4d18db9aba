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
    let early = settings::problem(user, false).expect("it is known");
    assert!(early.contains(problem), "{early}");
}

#[rstest]
#[case("")]
#[case("# nothing yet\n")]
fn a_user_may_say_nothing(#[case] user: &str) {
    let nothing = render(None, None).unwrap().cassandra_yaml;
    assert_eq!(render(Some(user), Some(user)).unwrap().cassandra_yaml, nothing);
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
    assert_eq!(settings::problem(odd, true), None);
}

#[test]
fn rackdc_names_datacenter_and_rack() {
    assert_eq!(rackdc::properties("dc1", "a"), "dc=dc1\nrack=a\n");
}
