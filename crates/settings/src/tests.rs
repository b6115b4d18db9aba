use rstest::rstest;

use super::*;

/// A ring created with such a setting keeps running.
#[rstest]
#[case("auto_bootstrap: false")]
#[case("allocate_tokens_for_local_replication_factor: 2")]
#[case("allocate_tokens_for_keyspace: shop")]
fn how_nodes_join_is_the_operators_for_new_rings(#[case] user: &str) {
    assert!(problem(user, true).expect("it is refused").contains("is set by the operator"));
    assert_eq!(problem(user, false), None);
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
