//! Settings with two names: 4.1 gave many of them a name without a unit, and still understands the older one.

use std::borrow::Cow;

/// Units at the end of older names. If two match, the longer one comes first.
const UNITS: [&str; 13] = [
    "_megabits_per_sec",
    "_mb_per_sec",
    "_in_minutes",
    "_in_bytes",
    "_in_secs",
    "_seconds",
    "_in_sec",
    "_in_ms",
    "_in_kb",
    "_in_mb",
    "_kb",
    "_mb",
    "_ms",
];

/// Older names that do not follow the rules.
const IRREGULAR: [(&str, &str); 11] = [
    ("cross_node_timeout", "internode_timeout"),
    ("internode_send_buff_size", "internode_socket_send_buffer_size"),
    ("internode_recv_buff_size", "internode_socket_receive_buffer_size"),
    (
        "native_transport_max_concurrent_requests_in_bytes_per_ip",
        "native_transport_max_request_data_in_flight_per_ip",
    ),
    ("native_transport_max_concurrent_requests", "native_transport_max_request_data_in_flight"),
    ("tracetype_query_ttl", "trace_type_query_ttl"),
    ("tracetype_repair_ttl", "trace_type_repair_ttl"),
    ("user_defined_function_warn_timeout", "user_defined_functions_warn_timeout"),
    ("user_defined_function_fail_timeout", "user_defined_functions_fail_timeout"),
    ("compaction_large_partition_warning_threshold", "partition_size_warn_threshold"),
    ("compaction_tombstone_warning_threshold", "partition_tombstones_warn_threshold"),
];

/// A name that all spellings of a setting share. It need not be one of the spellings.
pub(crate) fn canonical(key: &str) -> Cow<'_, str> {
    if let Some(feature) = key.strip_prefix("enable_") {
        return Cow::Owned(format!("{feature}_enabled"));
    }
    let plain = UNITS.iter().find_map(|unit| key.strip_suffix(unit)).unwrap_or(key);
    match IRREGULAR.iter().find(|(older, _)| *older == plain) {
        Some((_, newer)) => Cow::Borrowed(newer),
        None => Cow::Borrowed(plain),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::canonical;

    #[rstest]
    #[case("read_request_timeout_in_ms", "read_request_timeout")]
    #[case("streaming_keep_alive_period_in_secs", "streaming_keep_alive_period")]
    #[case("compaction_throughput_mb_per_sec", "compaction_throughput")]
    #[case("stream_throughput_outbound_megabits_per_sec", "stream_throughput_outbound")]
    #[case("batch_size_warn_threshold_in_kb", "batch_size_warn_threshold")]
    #[case("cdc_free_space_check_interval_ms", "cdc_free_space_check_interval")]
    #[case("prepared_statements_cache_size_mb", "prepared_statements_cache_size")]
    #[case("cache_load_timeout_seconds", "cache_load_timeout")]
    #[case("index_summary_resize_interval_in_minutes", "index_summary_resize_interval")]
    #[case("validation_preview_purge_head_start_in_sec", "validation_preview_purge_head_start")]
    #[case("internode_recv_buff_size_in_bytes", "internode_socket_receive_buffer_size")]
    #[case(
        "native_transport_max_concurrent_requests_in_bytes",
        "native_transport_max_request_data_in_flight"
    )]
    #[case(
        "native_transport_max_concurrent_requests_in_bytes_per_ip",
        "native_transport_max_request_data_in_flight_per_ip"
    )]
    #[case("compaction_large_partition_warning_threshold_mb", "partition_size_warn_threshold")]
    #[case("enable_user_defined_functions", "user_defined_functions_enabled")]
    #[case("cross_node_timeout", "internode_timeout")]
    fn both_spellings_of_a_setting_are_one(#[case] older: &str, #[case] newer: &str) {
        assert_eq!(canonical(older), canonical(newer));
    }

    #[rstest]
    #[case("default_secondary_index", "default_secondary_index_enabled")]
    #[case("request_timeout_in_ms", "read_request_timeout_in_ms")]
    #[case("key_cache_size", "key_cache_save_period")]
    // In 4.1 these are two settings each; 5.0 treats the first as an older name of the second, and logs that.
    #[case("table_count_warn_threshold", "tables_warn_threshold")]
    #[case("keyspace_count_warn_threshold", "keyspaces_warn_threshold")]
    fn different_settings_stay_different(#[case] one: &str, #[case] other: &str) {
        assert_ne!(canonical(one), canonical(other));
    }
}
