//! Whole requests in a simulated cluster: what a user relies on.

#![allow(missing_docs, reason = "the names of the tests say it")]
#![expect(clippy::expect_used, reason = "a broken expectation ends the test")]

#[path = "engine/compatibility.rs"]
mod compatibility;
mod fixtures;
#[path = "engine/preparation.rs"]
mod preparation;
#[path = "engine/races.rs"]
mod races;
#[path = "engine/refusals.rs"]
mod refusals;
#[path = "engine/restart.rs"]
mod restart;
#[path = "engine/revisions.rs"]
mod revisions;
#[path = "engine/vertical_scaling.rs"]
mod vertical_scaling;
#[path = "engine/way_back.rs"]
mod way_back;
mod world;

use std::collections::BTreeSet;

use api::cassandra::Phase as CassandraPhase;
use api::halt::{HALTED_BY, Halt};
use api::ops_request::Phase;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use ops_manager::step::Step;
use ops_manager::turn::Turn;
use rstest::rstest;
use world::World;

fn position(steps: &[Step], wanted: impl Fn(&Step) -> bool) -> usize {
    steps.iter().position(wanted).expect("the step was taken")
}

#[test]
fn an_update_renews_every_pod_once_in_order_and_resumes_last() {
    let mut world = World::new(2);
    let steps = world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(world.images(), BTreeSet::from(["cassandra:5.0.6"]));
    let order = ["a-0", "a-1", "b-0", "b-1", "c-0", "c-1"].map(|pod| format!("db-rack-{pod}"));
    assert_eq!(world.evicted, order);
    let version = position(&steps, |s| matches!(s, Step::Commit(_)));
    let resume = position(&steps, |s| matches!(s, Step::Resume));
    let last = steps.iter().rposition(|s| matches!(s, Step::Evict { .. })).expect("pods were renewed");
    assert!(last < version && version < resume);
    let cassandra = world.cassandra.as_ref().expect("it is there");
    assert_eq!((cassandra.spec.version.as_str(), Halt::of(cassandra)), ("5.0.6", Halt::None));
    assert!(world.request.finalizers().is_empty());
    assert_eq!(world.request.status.as_ref().and_then(|s| s.progress.as_deref()), Some("6/6"));
}

#[test]
fn a_rack_gets_the_new_image_only_when_the_one_before_it_is_whole() {
    let steps = World::new(2).run();
    let image_of_b =
        position(&steps, |s| matches!(s, Step::SetImage { petset, .. } if petset == "db-rack-b"));
    let second_of_a = position(&steps, |s| matches!(s, Step::Evict { pod } if pod.name == "db-rack-a-1"));
    assert!(second_of_a < image_of_b);
}

/// The operator dies after the effect of any one step, before the status is written, and restarts.
#[test]
fn an_update_survives_a_crash_after_every_step() {
    let steps = World::new(1).run().len();
    for crash in 0..steps {
        let mut world = World::new(1);
        (0..500).map_while(|n| world.reconcile(n != crash)).for_each(drop);
        assert_eq!(world.phase(), Phase::Successful, "crash after step {crash}");
        assert_eq!(world.evicted.len(), 3, "crash after step {crash}");
        assert_eq!(Halt::of(world.cassandra.as_ref().expect("it is there")), Halt::None);
    }
}

/// The operator dies between setting the version and writing the status, and the provisioner is down until the halt is lifted.
#[test]
fn a_crash_after_the_version_was_set_leaves_no_gap_in_the_story() {
    let mut world = World::new(1);
    world.until(|world| world.racks[2].pods[0].image == "cassandra:5.0.6" && world.racks[2].pods[0].ready);
    world.answers = false;
    assert!(matches!(world.reconcile(false), Some(Step::Commit(_))));
    world.until(|world| world.halt() == Halt::None);
    world.answers = true;
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(world.request.status.as_ref().and_then(|s| s.progress.as_deref()), Some("3/3"));
    assert!(world.says("RunningPod--db-rack-c-0").contains("is Ready on image"));
    for told in ["RestartPods", "VerifyRing", "SetVersion"] {
        assert!(!world.says(told).is_empty(), "{told}");
    }
}

#[rstest]
#[case::unknown("7.0.0", "there is no CassandraVersion 7.0.0")]
#[case::identical("4.1.10", "already")]
#[case::downgrade("4.1.9", "downgrade")]
#[case::two_majors("6.0.0", "the same or the next major")]
fn what_cannot_be_done_is_denied_and_nothing_is_touched(#[case] target: &str, #[case] why: &str) {
    let mut world = World::new(1);
    world.target(target);
    let before = world.cassandra.clone();
    world.run();
    assert_eq!(world.phase(), Phase::Denied);
    assert!(world.says("Denied").contains(why), "{}", world.says("Denied"));
    assert!(world.says("Denied").contains("Nothing was touched"));
    assert_eq!(world.cassandra, before);
    assert!(world.request.finalizers().is_empty());
}

#[test]
fn a_rack_without_persistent_data_is_never_renewed() {
    let mut world = World::new(1);
    world.racks[1].ephemeral = true;
    world.run();
    assert_eq!(world.phase(), Phase::Denied);
    assert!(world.says("Denied").contains("db-rack-b has Ephemeral storage"));
}

#[rstest]
fn a_request_may_reach_the_operator_before_its_cassandra_does(#[values(-1, 1)] hours: i64) {
    let mut world = World::new(1);
    // By the API server's clock the request was created long ago, or in the future.
    world.request.metadata.creation_timestamp = Some(Time(world.now + SignedDuration::from_hours(hours)));
    let cassandra = world.cassandra.take();
    for _ in 0..4 {
        world.reconcile(true);
    }
    assert_eq!(world.phase(), Phase::Pending);
    world.cassandra = cassandra;
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
}

#[test]
fn a_request_for_nothing_is_denied_after_a_few_seconds() {
    let mut world = World::new(1);
    world.request.metadata.creation_timestamp = Some(Time(world.now + SignedDuration::from_hours(1)));
    world.cassandra = None;
    world.run();
    assert!(world.now.as_second() < 90, "it took until {}", world.now);
    assert!(world.says("Denied").contains("there is no Cassandra db"));
}

#[test]
fn a_user_s_halt_is_waited_for_and_never_lifted() {
    let mut world = World::new(1);
    world.spec().halted = true;
    world.run();
    assert_eq!(world.phase(), Phase::Pending);
    assert!(world.says("Waiting").contains("halted by the user"));
    assert_eq!(Halt::of(world.cassandra.as_ref().expect("it is there")), Halt::User);
    world.spec().halted = false;
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(world.says("Waiting"), "");
}

#[test]
fn a_user_who_halts_between_the_intent_and_the_halt_is_respected() {
    let mut world = World::new(1);
    while world.phase() != Phase::Progressing {
        world.reconcile(true);
    }
    world.spec().halted = true;
    world.run();
    assert_eq!(Halt::of(world.cassandra.as_ref().expect("it is there")), Halt::User);
    assert!(world.evicted.is_empty());
    world.spec().halted = false;
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
}

#[test]
fn a_request_waits_for_its_turn_and_makes_room_for_a_newer_one() {
    let mut world = World::new(1);
    world.turn = Turn::After("first".to_owned());
    world.run();
    assert!(world.says("Waiting").contains("CassandraOpsRequest first"));
    world.turn = Turn::Superseded("second".to_owned());
    world.run();
    assert_eq!(world.phase(), Phase::Skipped);
    assert!(world.evicted.is_empty());
}

#[test]
fn a_ring_that_is_not_ready_is_waited_for_until_the_timeout() {
    let mut world = World::new(1);
    world.cassandra.as_mut().and_then(|c| c.status.as_mut()).expect("it has one").phase =
        Some(CassandraPhase::Critical);
    world.run();
    assert_eq!(world.phase(), Phase::Pending);
    assert!(world.says("Waiting").contains("Cassandra db is Critical"));
    world.now += SignedDuration::from_mins(31);
    world.run();
    assert_eq!(world.phase(), Phase::Failed);
    assert!(
        world.says("Failed").contains("Critical") && world.says("Failed").contains("Nothing was touched")
    );
}

#[test]
fn nothing_is_touched_before_the_provisioner_has_answered() {
    let mut world = World::new(1);
    world.answers = false;
    world.run();
    assert!(world.evicted.is_empty());
    assert!(world.says("PauseDatabase").contains("waits for the provisioner"));
    world.now += SignedDuration::from_mins(31);
    world.run();
    assert_eq!(world.phase(), Phase::Failed);
    assert_eq!(Halt::of(world.cassandra.as_ref().expect("it is there")), Halt::None);
}

#[test]
fn a_bad_image_reaches_one_pod_only_and_is_taken_back() {
    let mut world = World::new(2);
    world.bad.insert("cassandra:5.0.6".to_owned());
    world.run();
    assert_eq!(world.phase(), Phase::Failed);
    let saw: Vec<_> = world.ran.iter().filter(|(_, image)| image == "cassandra:5.0.6").collect();
    assert_eq!(saw, [&("db-rack-a-0".to_owned(), "cassandra:5.0.6".to_owned())]);
    assert_eq!(world.images(), BTreeSet::from(["cassandra:4.1.10"]));
    let failed = world.says("Failed");
    assert!(
        failed.contains("db-rack-a-0: it crashes") && failed.contains("whole on version 4.1.10"),
        "{failed}"
    );
    let cassandra = world.cassandra.as_ref().expect("it is there");
    assert_eq!((cassandra.spec.version.as_str(), Halt::of(cassandra)), ("4.1.10", Halt::None));
}

#[test]
fn an_image_that_holds_another_release_is_taken_back() {
    let mut world = World::new(1);
    world.catalog.get_mut("5.0.6").expect("it is there").spec.db.image = "cassandra:5.0.5".to_owned();
    world.run();
    assert_eq!(world.phase(), Phase::Failed);
    assert!(world.says("Failed").contains("holds release 5.0.5"), "{}", world.says("Failed"));
    assert_eq!(world.evicted.len(), 2);
}

#[test]
fn a_gate_that_stays_shut_turns_the_update_around_at_the_timeout() {
    let mut world = World::new(1);
    while world.evicted.is_empty() {
        world.reconcile(true);
    }
    world.problems = vec!["node x is streaming".to_owned()];
    world.run();
    assert_eq!(world.evicted.len(), 1, "no second pod is touched while the ring is not whole");
    world.now += SignedDuration::from_mins(31);
    world.reconcile(true);
    world.problems.clear();
    world.run();
    assert_eq!(world.phase(), Phase::Failed);
    assert!(world.says("Failed").contains("streaming"));
    assert_eq!(world.images(), BTreeSet::from(["cassandra:4.1.10"]));
}

#[test]
fn a_roll_back_that_cannot_finish_stays_halted_and_a_new_request_takes_over() {
    let mut world = World::new(1);
    world.bad = ["cassandra:5.0.6", "cassandra:4.1.10"].map(str::to_owned).into();
    world.run();
    world.now += SignedDuration::from_mins(31);
    world.run();
    assert_eq!(world.phase(), Phase::Failed);
    assert!(world.says("Failed").contains("stays halted"), "{}", world.says("Failed"));
    assert!(Halt::of(world.cassandra.as_ref().expect("it is there")).is_of("request-1"));

    let mut healed = world.again();
    healed.run();
    assert_eq!(healed.phase(), Phase::Successful);
    assert_eq!(healed.images(), BTreeSet::from(["cassandra:5.0.6"]));
    assert_eq!(Halt::of(healed.cassandra.as_ref().expect("it is there")), Halt::None);
}

#[test]
fn a_deleted_request_ends_with_the_old_version_and_lets_go() {
    let mut world = World::new(1);
    while world.evicted.len() < 2 {
        world.reconcile(true);
    }
    world.request.metadata.deletion_timestamp = Some(Time(world.now));
    world.run();
    assert_eq!(world.images(), BTreeSet::from(["cassandra:4.1.10"]));
    assert_eq!(Halt::of(world.cassandra.as_ref().expect("it is there")), Halt::None);
    assert!(world.request.finalizers().is_empty());
    assert!(world.says("Failed").contains("the request was deleted"));
}

#[test]
fn a_deleted_cassandra_ends_its_request() {
    let mut world = World::new(1);
    while world.evicted.is_empty() {
        world.reconcile(true);
    }
    world.cassandra.as_mut().expect("it is there").metadata.deletion_timestamp = Some(Time(world.now));
    world.run();
    assert_eq!(world.phase(), Phase::Failed);
    assert!(world.says("Failed").contains("the Cassandra was deleted"));
    assert!(world.request.finalizers().is_empty());
}

#[test]
fn an_edit_of_the_cassandra_needs_a_new_answer_before_the_update_goes_on() {
    let mut world = World::new(1);
    while world.evicted.is_empty() {
        world.reconcile(true);
    }
    // `World` asserts that nothing is changed before the halt is answered; here the answer comes late.
    world.answers = false;
    world.cassandra.as_mut().expect("it is there").metadata.generation = Some(99);
    world.run();
    assert_eq!(world.evicted.len(), 1);
    world.answers = true;
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
}

#[test]
fn a_halt_that_somebody_lifted_is_set_again() {
    let mut world = World::new(1);
    while world.evicted.is_empty() {
        world.reconcile(true);
    }
    let cassandra = world.cassandra.as_mut().expect("it is there");
    cassandra.spec.halted = false;
    cassandra.annotations_mut().remove(HALTED_BY);
    cassandra.metadata.generation = Some(50);
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(world.images(), BTreeSet::from(["cassandra:5.0.6"]));
}

#[test]
fn the_story_tells_each_pod_of_the_update() {
    let mut world = World::new(1);
    world.run();
    for pod in ["db-rack-a-0", "db-rack-b-0", "db-rack-c-0"] {
        assert!(world.says(&format!("EvictPod--{pod}")).contains("was evicted"));
        assert!(world.says(&format!("RunningPod--{pod}")).contains("Ready on image cassandra:5.0.6"));
    }
    assert!(world.says("UpdatePetSets").contains("3 of 3 PetSets"));
    assert!(world.says("Successful").contains("completed"));
}
