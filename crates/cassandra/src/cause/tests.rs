//! Every known way in which a Cassandra refuses to start, as 4.1 and 5.0 log it: the lines before, the error, and the noise of
//! the shutdown.

use rstest::rstest;

use super::*;

const BEFORE: &str = "\
INFO  [main] 2026-11-26 19:05:08,279 SkipListMemtable.java:240 - Estimated SkipListMemtable row overhead: 181
WARN  [main] 2026-11-26 19:05:16,533 StartupChecks.java:555 - Maximum number of memory map areas per process is too low
ERROR [main] 2026-11-26 19:05:16,540 NativeLibraryLinux.java:64 - Failed to link the C library against JNA.
java.lang.UnsatisfiedLinkError: not the cause
INFO  [main] 2026-11-26 19:05:09,132 QueryProcessor.java:128 - Initialized prepared statement caches with 10 MiB
";
const AFTER: &str = "\
INFO  [StorageServiceShutdownHook] 2026-11-26 19:08:18,735 Gossiper.java:2302 - Announcing shutdown
INFO  [Messaging-EventLoop-3-1] 2026-11-26 19:08:18,835 OutboundConnection.java:1153 - /10.0.0.3:7000->/10.0.0.2:7000-URGENT_MESSAGES successfully connected
ERROR [StorageServiceShutdownHook] 2026-11-26 19:08:18,900 StorageService.java:1000 - a consequence
INFO  [StorageServiceShutdownHook] 2026-11-26 19:08:18,947 HintsService.java:234 - Paused hints dispatch
";
const TRACE: &str = "\
\tat org.apache.cassandra.service.StorageService.initServer(StorageService.java:800)
\tat org.apache.cassandra.service.CassandraDaemon.main(CassandraDaemon.java:878)
";

#[rstest]
#[case::token_allocation(
    "Exception (org.apache.cassandra.exceptions.ConfigurationException) encountered during startup: Token allocation failed: the number of racks 2 in datacenter dc1 is lower than its replication factor 3.
org.apache.cassandra.exceptions.ConfigurationException: Token allocation failed: the number of racks 2 in datacenter dc1 is lower than its replication factor 3.
TRACE
ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:900 - Exception encountered during startup
org.apache.cassandra.exceptions.ConfigurationException: Token allocation failed: the number of racks 2 in datacenter dc1 is lower than its replication factor 3.
TRACE",
    "ConfigurationException: Token allocation failed: the number of racks 2 in datacenter dc1 is lower than its replication \
     factor 3"
)]
#[case::unknown_key(
    "Exception (org.apache.cassandra.exceptions.ConfigurationException) encountered during startup: Invalid yaml. Please remove properties [max_hint_windoww] from your cassandra.yaml
Invalid yaml. Please remove properties [max_hint_windoww] from your cassandra.yaml
ERROR [main] 2026-11-26 19:02:28,375 CassandraDaemon.java:887 - Exception encountered during startup: Invalid yaml. Please remove properties [max_hint_windoww] from your cassandra.yaml",
    "Invalid yaml. Please remove properties [max_hint_windoww] from your cassandra.yaml"
)]
#[case::old_and_new_name_of_a_key(
    "ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:900 - Exception encountered during startup
org.apache.cassandra.exceptions.ConfigurationException: Config contains both old and new keys for the same configuration parameters, migrate old -> new: [max_hint_window_in_ms -> max_hint_window]
TRACE",
    "ConfigurationException: Config contains both old and new keys for the same configuration parameters, migrate old -> \
     new: [max_hint_window_in_ms -> max_hint_window]"
)]
#[case::a_key_twice(
    "ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:900 - Exception encountered during startup
org.apache.cassandra.exceptions.ConfigurationException: Invalid yaml: file:/etc/cassandra/cassandra.yaml
TRACE
Caused by: org.yaml.snakeyaml.constructor.DuplicateKeyException: while constructing a mapping
 in 'reader', line 1, column 1:
    cluster_name: db
    ^
found duplicate key num_tokens
 in 'reader', line 7, column 1:
    num_tokens: 8
    ^

TRACE",
    "ConfigurationException: Invalid yaml: file:/etc/cassandra/cassandra.yaml: DuplicateKeyException: while constructing a \
     mapping in 'reader', line 1, column 1: cluster_name: db ^ found duplicate key num_tokens in 'reader', line 7, column \
     1: num_tokens: 8 ^"
)]
#[case::two_settings_that_exclude_each_other(
    "ERROR [main] 2026-11-26 19:03:31,650 CassandraDaemon.java:887 - Exception encountered during startup: Batch sync specified, but commitlog_sync_period found.",
    "Batch sync specified, but commitlog_sync_period found"
)]
#[case::number_of_tokens(
    "ERROR [main] 2026-11-26 19:11:40,699 CassandraDaemon.java:887 - Fatal configuration error
org.apache.cassandra.exceptions.ConfigurationException: Cannot change the number of tokens from 8 to 16
TRACE",
    "ConfigurationException: Cannot change the number of tokens from 8 to 16"
)]
#[case::cluster_name(
    "ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:887 - Fatal exception during initialization
org.apache.cassandra.exceptions.ConfigurationException: Saved cluster name Test Cluster != configured name other
TRACE",
    "ConfigurationException: Saved cluster name Test Cluster != configured name other"
)]
#[case::rack(
    "ERROR [main] 2026-11-26 19:05:23,198 CassandraDaemon.java:887 - Cannot start node if snitch's rack (r9) differs from previous rack (rack1). Please fix the snitch configuration, decommission and rebootstrap this node or use the flag -Dcassandra.ignore_rack=true.",
    "Cannot start node if snitch's rack (r9) differs from previous rack (rack1). Please fix the snitch configuration, \
     decommission and rebootstrap this node or use the flag -Dcassandra.ignore_rack=true"
)]
#[case::datacenter(
    "ERROR [main] 2026-11-26 19:05:38,002 CassandraDaemon.java:887 - Cannot start node if snitch's data center (dc9) differs from previous data center (dc1). Please fix the snitch configuration, decommission and rebootstrap this node or use the flag -Dcassandra.ignore_dc=true.",
    "Cannot start node if snitch's data center (dc9) differs from previous data center (dc1). Please fix the snitch \
     configuration, decommission and rebootstrap this node or use the flag -Dcassandra.ignore_dc=true"
)]
#[case::commit_log(
    "ERROR [main] 2026-11-26 19:05:09,333 JVMStabilityInspector.java:196 - Exiting due to error while processing commit log during initialization.
org.apache.cassandra.db.commitlog.CommitLogReadHandler$CommitLogReadException: Mutation checksum failure at 331 in Mutation checksum failure CommitLog-7-1795719821532.log
TRACE",
    "Exiting due to error while processing commit log during initialization: CommitLogReadException: Mutation checksum \
     failure at 331 in Mutation checksum failure CommitLog-7-1795719821532.log"
)]
#[case::commit_log_that_stops_the_replay(
    "ERROR [main] 2026-11-26 19:05:09,333 CommitLog.java:568 - Failed commit log replay. Commit disk failure policy is stop; terminating thread.
org.apache.cassandra.db.commitlog.CommitLogReadHandler$CommitLogReadException: Could not read commit log descriptor in file /var/lib/cassandra/commitlog/CommitLog-7-1.log
TRACE
ERROR [main] 2026-11-26 19:05:09,340 CommitLogReplayer.java:504 - Replay stopped. If you wish to override this error and continue starting the node ignoring commit log replay problems, specify -Dcassandra.commitlog.ignorereplayerrors=true on the command line
Exception (org.apache.cassandra.db.commitlog.CommitLogReplayer$CommitLogReplayException) encountered during startup: Could not read commit log descriptor in file /var/lib/cassandra/commitlog/CommitLog-7-1.log
ERROR [main] 2026-11-26 19:05:09,350 CassandraDaemon.java:900 - Exception encountered during startup
org.apache.cassandra.db.commitlog.CommitLogReplayer$CommitLogReplayException: Could not read commit log descriptor in file /var/lib/cassandra/commitlog/CommitLog-7-1.log
TRACE
Caused by: org.apache.cassandra.db.commitlog.CommitLogReadHandler$CommitLogReadException: Could not read commit log descriptor in file /var/lib/cassandra/commitlog/CommitLog-7-1.log
\t... 6 common frames omitted",
    "CommitLogReadException: Could not read commit log descriptor in file \
     /var/lib/cassandra/commitlog/CommitLog-7-1.log"
)]
#[case::commit_log_of_a_newer_release(
    "ERROR [main] 2026-11-26 19:05:09,333 JVMStabilityInspector.java:196 - Exiting due to error while processing commit log during initialization.
org.apache.cassandra.db.commitlog.CommitLogReadHandler$CommitLogReadException: Unexpected error deserializing mutation; saved to /tmp/mutation123dat.  This may be caused by replaying a mutation against a table with the same name but incompatible schema.  Exception follows: java.lang.RuntimeException: Unknown column compaction_properties during deserialization
TRACE
Caused by: java.lang.RuntimeException: Unknown column compaction_properties during deserialization
\tat org.apache.cassandra.db.Columns$Serializer.deserialize(Columns.java:489)
\t... 12 common frames omitted",
    "Exiting due to error while processing commit log during initialization: CommitLogReadException: Unexpected error \
     deserializing mutation; saved to /tmp/mutation123dat. This may be caused by replaying a mutation against a table with \
     the same name but incompatible schema. Exception follows: java.lang.RuntimeException: Unknown column \
     compaction_properties during deserializa…: RuntimeException: Unknown column compaction_properties during deserialization"
)]
#[case::disk_full(
    "ERROR [MemtableFlushWriter:1] 2026-11-26 19:05:09,333 DefaultFSErrorHandler.java:129 - Exiting forcefully due to file system exception on startup, disk failure policy \"stop\"
org.apache.cassandra.io.FSWriteError: java.io.IOException: No space left on device in /var/lib/cassandra/data/system/local-7ad5/nb-9-big-Data.db
TRACE
Caused by: java.io.IOException: No space left on device
\tat java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)",
    "Exiting forcefully due to file system exception on startup, disk failure policy \"stop\": FSWriteError: No space left \
     on device in /var/lib/cassandra/data/system/local-7ad5/nb-9-big-Data.db"
)]
#[case::disk_full_by_its_own_reckoning(
    "ERROR [main] 2026-11-26 19:05:09,350 CassandraDaemon.java:900 - Exception encountered during startup
java.lang.RuntimeException: java.util.concurrent.ExecutionException: org.apache.cassandra.io.FSDiskFullWriteError: java.io.IOException: Insufficient disk space to write 1048576 bytes
TRACE
\tSuppressed: java.lang.IllegalStateException: beside it
\tCaused by: java.lang.IllegalStateException: beside it too
Caused by: java.util.concurrent.ExecutionException: org.apache.cassandra.io.FSDiskFullWriteError: java.io.IOException: Insufficient disk space to write 1048576 bytes
\t... 3 common frames omitted
Caused by: java.io.IOException: Insufficient disk space to write 1048576 bytes
\t... 3 common frames omitted",
    "IOException: Insufficient disk space to write 1048576 bytes"
)]
#[case::owner_of_the_volume(
    "ERROR [main] 2026-11-26 19:05:09,330 Directories.java:139 - Doesn't have write permissions for /var/lib/cassandra/data directory
ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:900 - Insufficient permissions on directory /var/lib/cassandra/data",
    "Insufficient permissions on directory /var/lib/cassandra/data"
)]
#[case::a_folder_that_cannot_be_made(
    "ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:900 - Has no permission to create directory /var/lib/cassandra/hints",
    "Has no permission to create directory /var/lib/cassandra/hints"
)]
#[case::a_file_of_somebody_else(
    "ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:900 - Exception encountered during startup
java.lang.RuntimeException: java.nio.file.AccessDeniedException: /var/lib/cassandra/data/system
TRACE
Caused by: java.nio.file.AccessDeniedException: /var/lib/cassandra/data/system
\t... 3 common frames omitted",
    "AccessDeniedException: /var/lib/cassandra/data/system"
)]
#[case::heap(
    "Terminating due to java.lang.OutOfMemoryError: Java heap space",
    "Terminating due to java.lang.OutOfMemoryError: Java heap space"
)]
#[case::heap_that_the_machine_has_not(
    "# There is insufficient memory for the Java Runtime Environment to continue.
# Native memory allocation (mmap) failed to map 524288000 bytes for committing reserved memory.",
    "# There is insufficient memory for the Java Runtime Environment to continue. # Native memory allocation (mmap) failed \
     to map 524288000 bytes for committing reserved memory"
)]
#[case::option_of_the_jvm(
    "Unrecognized VM option 'UseFastGC'
Error: Could not create the Java Virtual Machine.
Error: A fatal exception has occurred. Program will exit.",
    "Unrecognized VM option 'UseFastGC'"
)]
#[case::heap_larger_than_its_most(
    "Error occurred during initialization of VM
Initial heap size set to a larger value than the maximum heap size",
    "Error occurred during initialization of VM Initial heap size set to a larger value than the maximum heap size"
)]
#[case::port_between_nodes(
    "/127.0.0.1:17000 is in use by another process.  Change listen_address:storage_port in cassandra.yaml to values that do not conflict with other services
Fatal configuration error; unable to start server.  See log for stacktrace.
ERROR [main] 2026-11-26 19:08:18,675 CassandraDaemon.java:887 - Fatal configuration error
org.apache.cassandra.exceptions.ConfigurationException: /127.0.0.1:17000 is in use by another process.  Change listen_address:storage_port in cassandra.yaml to values that do not conflict with other services
TRACE",
    "ConfigurationException: /127.0.0.1:17000 is in use by another process. Change listen_address:storage_port in \
     cassandra.yaml to values that do not conflict with other services"
)]
#[case::port_of_the_clients(
    "ERROR [main] 2026-11-26 19:08:18,675 CassandraDaemon.java:887 - Exception encountered during startup
java.lang.IllegalStateException: Failed to bind port 9042 on 10.0.0.1.
TRACE
Caused by: io.netty.channel.unix.Errors$NativeIoException: bind(..) failed: Address already in use",
    "IllegalStateException: Failed to bind port 9042 on 10.0.0.1: NativeIoException: bind(..) failed: Address already in use"
)]
#[case::sstables_of_a_newer_release(
    "ERROR [main] 2026-11-26 19:07:16,298 CassandraDaemon.java:900 - Detected unreadable sstables /var/lib/cassandra/data/shop/orders-97/oa-1-big-Data.db, please check NEWS.txt and ensure that you have upgraded through all required intermediate versions, running upgradesstables",
    "Detected unreadable sstables /var/lib/cassandra/data/shop/orders-97/oa-1-big-Data.db, please check NEWS.txt and ensure \
     that you have upgraded through all required intermediate versions, running upgradesstables"
)]
#[case::a_class_of_an_older_release(
    "ERROR [main] 2026-11-26 19:05:09,320 CassandraDaemon.java:282 - Error while loading schema: 
org.apache.cassandra.exceptions.ConfigurationException: Unable to find compaction strategy class 'org.apache.cassandra.db.compaction.DateTieredCompactionStrategy'
TRACE
Exception (org.apache.cassandra.exceptions.ConfigurationException) encountered during startup: Unable to find compaction strategy class 'org.apache.cassandra.db.compaction.DateTieredCompactionStrategy'
ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:887 - Exception encountered during startup
org.apache.cassandra.exceptions.ConfigurationException: Unable to find compaction strategy class 'org.apache.cassandra.db.compaction.DateTieredCompactionStrategy'
TRACE
Caused by: java.lang.ClassNotFoundException: org.apache.cassandra.db.compaction.DateTieredCompactionStrategy
\t... 9 common frames omitted",
    "ConfigurationException: Unable to find compaction strategy class \
     'org.apache.cassandra.db.compaction.DateTieredCompactionStrategy'"
)]
#[case::address_of_another_node(
    "ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:887 - Exception encountered during startup
java.lang.RuntimeException: A node with address /10.0.0.3:7000 already exists, cancelling join. Use cassandra.replace_address if you want to replace this node.
TRACE",
    "RuntimeException: A node with address /10.0.0.3:7000 already exists, cancelling join. Use cassandra.replace_address if \
     you want to replace this node"
)]
#[case::streaming_of_the_bootstrap(
    "ERROR [main] 2026-11-26 19:05:09,333 StorageService.java:2095 - Error while waiting on bootstrap to complete. Bootstrap will have to be restarted.
java.util.concurrent.ExecutionException: org.apache.cassandra.streaming.StreamException: Stream failed
TRACE
Caused by: org.apache.cassandra.streaming.StreamException: Stream failed: session to /10.0.0.2 was closed
\t... 1 common frames omitted",
    "Error while waiting on bootstrap to complete. Bootstrap will have to be restarted: StreamException: Stream failed: \
     session to /10.0.0.2 was closed"
)]
#[case::no_peers(
    "Exception (java.lang.RuntimeException) encountered during startup: Unable to gossip with any peers
ERROR [main] 2026-11-26 19:07:35,493 CassandraDaemon.java:887 - Exception encountered during startup
java.lang.RuntimeException: Unable to gossip with any peers
TRACE",
    "RuntimeException: Unable to gossip with any peers"
)]
#[case::no_seeds(
    "ERROR [main] 2026-11-26 19:07:35,493 CassandraDaemon.java:887 - Exception encountered during startup
java.lang.IllegalStateException: Unable to contact any seeds: [/10.0.0.1:7000]
TRACE",
    "IllegalStateException: Unable to contact any seeds: [/10.0.0.1:7000]"
)]
#[case::an_exception_without_words(
    "ERROR [main] 2026-11-26 19:07:35,493 CassandraDaemon.java:887 - Exception encountered during startup
java.lang.NullPointerException: null
TRACE",
    "NullPointerException: null"
)]
fn a_node_that_ends_says_why(#[case] log: &str, #[case] cause: &str) {
    let log = log.replace("TRACE", TRACE.trim_end());
    assert_eq!(of(&format!("{BEFORE}{log}\n{AFTER}")), cause);
    assert_eq!(of(&log), cause, "without what stands around it");
}

/// Kubernetes itself keeps only the end of a log, which may begin in the middle of a stack trace.
#[test]
fn without_an_error_the_last_lines_are_told() {
    assert_eq!(
        of("exec: cassandra: not found\nthis image is broken on purpose\n"),
        "exec: cassandra: not found | this image is broken on purpose"
    );
    assert_eq!(of(""), "");
    let told = of(&"INFO  [main] 2026-11-26 19:05:08,279 A.java:1 - é all is well\n".repeat(40));
    assert!(told.ends_with("é all is well") && told.len() <= LONGEST_TAIL, "{told}");
}

#[test]
fn an_error_of_the_shutdown_counts_where_there_is_no_other() {
    assert_eq!(of(AFTER), "a consequence");
}

#[test]
fn however_long_the_log_the_cause_is_short() {
    let much = "é".repeat(100_000);
    let log = format!(
        "ERROR [main] 2026-11-26 19:05:09,333 CassandraDaemon.java:1 - {much}\norg.some.One: 1{much}\nCaused by: org.some.Two: 2{much}\n"
    );
    assert!(of(&log).chars().count() < 3 * (LONGEST_PART + 3), "{}", of(&log).len());
}
