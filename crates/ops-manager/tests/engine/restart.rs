//! Restarts: every pod once, whole or stopped, never back.

use api::cassandra::{CassandraStatus, StoredConfiguration};
use api::halt::{HALTED_BY, Halt};
use api::ops_request::{Apply, OpsType, Phase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use ops_manager::step::Step;
use ops_manager::turn::Turn;
use rstest::rstest;

use super::world::{World, replace};

const TOO_LONG: SignedDuration = SignedDuration::from_mins(31);

fn world(replicas: i32) -> World {
    let mut world = World::new(replicas);
    world.request.spec.type_ = OpsType::Restart;
    world.request.spec.update_version = None;
    world
}

fn progress(world: &World) -> Option<&str> {
    world.request.status.as_ref()?.progress.as_deref()
}

#[test]
fn a_restart_renews_every_pod_once_and_changes_nothing_else() {
    let mut world = world(2);
    let before = world.cassandra.clone().map(|it| it.spec);
    let steps = world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Successful, Halt::None));
    let order = ["a-0", "a-1", "b-0", "b-1", "c-0", "c-1"].map(|pod| format!("db-rack-{pod}"));
    assert_eq!(world.evicted, order);
    assert!(
        !steps.iter().any(|it| matches!(it, Step::SetImage { .. } | Step::Commit(_) | Step::Pull { .. }))
    );
    assert_eq!(world.cassandra.clone().map(|it| it.spec), before);
    assert_eq!(progress(&world), Some("6/6"));
    for told in [
        "Restart",
        "GetPod--db-rack-c-1",
        "EvictPod--db-rack-c-1",
        "CheckPodRunning--db-rack-c-1",
        "RestartNodes",
    ] {
        assert!(!world.says(told).is_empty(), "{told}");
    }
    assert_eq!(world.says("Restart"), "started to restart 6 pods");
    assert!(world.request.finalizers().is_empty());
}

/// The operator dies after the effect of any one step, before the status is written, and restarts.
#[test]
fn a_restart_survives_a_crash_after_every_step() {
    let steps = world(1).run().len();
    for crash in 0..steps {
        let mut world = world(1);
        (0..500).map_while(|n| world.reconcile(n != crash)).for_each(drop);
        assert_eq!(world.phase(), Phase::Successful, "crash after step {crash}");
        assert_eq!(world.evicted.len(), 3, "crash after step {crash}");
        assert_eq!(progress(&world), Some("3/3"), "crash after step {crash}");
        for told in ["CheckPodRunning--db-rack-c-0", "RestartNodes", "VerifyRing", "ResumeDatabase"] {
            assert!(world.is_true(told), "crash after step {crash}: {told}");
        }
        assert_eq!(world.halt(), Halt::None);
    }
}

fn gives(step: &Step, rack: &str) -> bool {
    matches!(step, Step::SetTemplate { petset } if *petset == format!("db-rack-{rack}"))
}

/// The user has edited the templates of two racks.
#[test]
fn a_restart_brings_the_changes_that_the_templates_lack_rack_by_rack_and_says_so() {
    let mut world = world(2);
    world.racks[0].waits = true;
    world.racks[2].waits = true;
    let steps = world.run();
    assert_eq!(world.phase(), Phase::Successful);
    let said = world.says("Restart");
    assert!(said.contains("get now: db-rack-a-0, db-rack-a-1, db-rack-c-0, db-rack-c-1"), "{said}");
    let given = |rack: &str| steps.iter().position(|step| gives(step, rack));
    let evicted = |name: &str| {
        steps
            .iter()
            .position(|step| matches!(step, Step::Evict { pod } if pod.name == format!("db-rack-{name}")))
    };
    assert!(given("a") < evicted("a-0") && evicted("b-1") < given("c") && given("c") < evicted("c-0"));
    assert_eq!(given("b"), None);
    assert_eq!(world.evicted.len(), 6);
    let revisions: Vec<_> = world.racks.iter().map(|rack| rack.pods[1].revision.as_str()).collect();
    let (edited, old) = ("cassandra:4.1.10 with an edit", "cassandra:4.1.10");
    assert_eq!(revisions, [edited, old, edited]);
}

#[test]
fn a_template_that_its_pod_does_not_come_back_with_reaches_no_other_rack() {
    let mut world = world(1);
    world.racks.iter_mut().for_each(|rack| rack.waits = true);
    world.bad.insert("cassandra:4.1.10".to_owned());
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    assert_eq!(world.edited.iter().collect::<Vec<_>>(), ["db-rack-a"]);
}

/// The user edits again while the first racks are renewed.
#[test]
fn an_edit_during_a_restart_waits_for_the_next_one_where_the_rack_has_its_template() {
    let mut world = world(1);
    world.racks[0].waits = true;
    world.until(|world| world.evicted.len() == 2);
    world.racks.iter_mut().for_each(|rack| rack.waits = true);
    let steps = world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert!(!steps.iter().any(|step| matches!(step, Step::SetTemplate { .. })), "{steps:?}");
    assert_eq!(world.evicted.len(), 3);
}

/// A pod has died by itself, and has come back with the template of before, before its rack's turn.
#[test]
fn a_pod_that_came_back_with_the_old_template_is_renewed() {
    let mut world = world(1);
    world.racks[2].waits = true;
    world.until(|world| world.evicted.len() == 1);
    world.racks[2].pods[0].uid.push_str("/again");
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(world.evicted, ["db-rack-a-0", "db-rack-c-0", "db-rack-b-0"], "its rack has begun");
    assert_eq!(world.racks[2].pods[0].revision, "cassandra:4.1.10 with an edit");
}

#[test]
fn a_pod_that_does_not_come_back_stops_the_restart_and_leaves_no_halt() {
    let mut world = world(1);
    world.bad.insert("cassandra:4.1.10".to_owned());
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    assert_eq!(world.evicted, ["db-rack-a-0"]);
    let failed = world.says("Failed");
    assert!(failed.contains("pod db-rack-a-0: it crashes. 0 of 3 pods were renewed"), "{failed}");
    assert!(world.request.finalizers().is_empty());
}

#[test]
fn a_pod_that_cannot_be_scheduled_stops_the_restart_after_its_time() {
    let mut world = world(1);
    world.full = true;
    world.run();
    assert_eq!(world.phase(), Phase::Progressing);
    world.now += TOO_LONG;
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    assert!(world.says("Failed").contains("0/3 nodes are available"), "{}", world.says("Failed"));
}

/// The halt is gone and the phase is that of before: while another request has halted the Cassandra, nobody writes it.
#[test]
fn a_restart_is_not_over_while_its_last_pod_is_away() {
    let mut world = world(1);
    world.until(|world| world.evicted.len() == 3 && world.racks[2].pods[0].ready);
    let last = world.racks[2].pods.pop().unwrap();
    world.lift();
    world.run();
    assert_eq!((world.phase(), progress(&world)), (Phase::Progressing, Some("2/3")));
    assert!(world.says("DatabaseReady").contains("2 of 3 are"), "{}", world.says("DatabaseReady"));
    world.racks[2].pods.push(last);
    world.run();
    assert_eq!((world.phase(), progress(&world)), (Phase::Successful, Some("3/3")));
}

#[rstest]
#[case::before_the_first_pod(0, "0 of 6")]
#[case::in_the_middle(3, "3 of 6")]
fn a_deleted_restart_ends_with_the_pod_that_is_on_its_way(#[case] evicted: usize, #[case] renewed: &str) {
    let mut world = world(2);
    world.until(|world| world.evicted.len() == evicted && world.halt() != Halt::None);
    world.request.metadata.deletion_timestamp = Some(Time(world.now));
    world.run();
    assert_eq!((world.evicted.len(), world.halt()), (evicted, Halt::None));
    assert!(world.racks.iter().flat_map(|rack| &rack.pods).all(|pod| pod.ready), "it was waited for");
    let failed = world.says("Failed");
    assert!(failed.contains("the request was deleted") && failed.contains(renewed), "{failed}");
    assert!(world.request.finalizers().is_empty());
}

#[test]
fn a_restart_waits_for_its_turn_and_for_a_whole_ring() {
    let mut world = world(1);
    world.turn = Turn::After("other".to_owned());
    world.run();
    assert!(world.says("Waiting").contains("other"));
    world.turn = Turn::Now;
    world.problems = vec!["node x is down".to_owned()];
    world.run();
    assert!(world.says("Waiting").contains("node x is down") && world.evicted.is_empty());
    world.problems.clear();
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
}

#[test]
fn a_ring_without_volumes_is_not_restarted() {
    let mut world = world(1);
    world.racks[1].ephemeral = true;
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Denied, Halt::None));
    assert!(world.says("Denied").contains("Ephemeral storage"));
}

/// The halt of a roll-back that could not finish protects a ring on two versions.
#[test]
fn a_restart_does_not_take_over_the_halt_of_a_roll_back_that_could_not_finish() {
    let mut world = world(1);
    world.request.spec.apply = Apply::Always;
    world.edit(|cassandra| {
        cassandra.spec.halted = true;
        cassandra.annotations_mut().insert(HALTED_BY.to_owned(), "of-the-roll-back".to_owned());
    });
    world.run();
    assert!(
        world.says("Waiting").contains("UpdateVersion with apply: Always takes over"),
        "{}",
        world.says("Waiting")
    );
    world.now += TOO_LONG;
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::Request("of-the-roll-back".to_owned())));
    assert!(world.evicted.is_empty() && world.says("Failed").contains("Nothing was touched"));
}

#[test]
fn a_ring_on_two_releases_is_not_restarted() {
    let mut world = world(1);
    world.request.spec.apply = Apply::Always;
    replace(&mut world.racks[1].pods[0], "cassandra:5.0.6");
    world.run();
    let waiting = world.says("Waiting");
    assert!(
        waiting.contains("pod db-rack-b-0 runs release 5.0.6, but the Cassandra has version 4.1.10"),
        "{waiting}"
    );
    assert!(world.evicted.is_empty());
}

/// A pod that somebody else has renewed meanwhile need not be renewed again.
#[test]
fn a_pod_that_is_new_already_is_not_renewed() {
    let mut world = world(1);
    world.until(|world| world.evicted.len() == 1);
    world.racks[2].pods[0].uid.push_str("/of-somebody-else");
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(world.evicted, ["db-rack-a-0", "db-rack-b-0"]);
}

#[rstest]
#[case::a_configuration_that_is_not_stored_yet(|status: &mut CassandraStatus| status.configuration = None, "the configuration")]
#[case::a_newer_spec(|status: &mut CassandraStatus| status.observed_generation = Some(0), "the spec of the Cassandra")]
fn a_restart_does_not_begin_before_the_provisioner_has_taken_what_it_brings(
    #[case] untaken: fn(&mut CassandraStatus),
    #[case] what: &str,
) {
    let mut world = world(1);
    world.answers = false;
    untaken(world.status());
    (0..5).for_each(|_| drop(world.reconcile(true)));
    assert_eq!((world.phase(), world.halt()), (Phase::Pending, Halt::None));
    let said = world.says("Waiting");
    assert!(said.contains(&format!("to take {what}, which the restart brings")), "{said}");
}

#[test]
fn a_restart_waits_until_a_secret_with_settings_is_copied() {
    let mut world = world(1);
    let copied =
        |version: &str| Some(StoredConfiguration { copied: Some(version.to_owned()), ..Default::default() });
    world.settings = Some("2".to_owned());
    world.status().configuration = copied("1");
    (0..5).for_each(|_| drop(world.reconcile(true)));
    assert_eq!(world.phase(), Phase::Pending);
    world.status().configuration = copied("2");
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
}
