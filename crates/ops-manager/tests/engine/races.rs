//! Others interfere: users, other requests, and a cluster that does not do what it should.

use std::collections::BTreeSet;

use api::cassandra::Phase as CassandraPhase;
use api::halt::{HALTED_BY, Halt};
use api::ops_request::{Apply, Phase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use ops_manager::step::Step;

use super::world::{World, give, replace};

const TOO_LONG: SignedDuration = SignedDuration::from_mins(31);

fn ran(world: &World, image: &str) -> usize {
    world.ran.iter().filter(|(_, ran)| ran == image).count()
}

#[test]
fn an_image_that_somebody_puts_into_a_petset_is_put_right_on_the_way_forward() {
    let mut world = World::new(1);
    world.until(|world| world.evicted.len() == 2);
    for rack in &mut world.racks {
        give(rack, Some("edited:4.1.10"));
    }
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(world.images(), BTreeSet::from(["cassandra:5.0.6"]));
}

#[test]
fn a_pod_that_came_up_on_an_edited_image_is_renewed() {
    let mut world = World::new(1);
    world.until(|world| world.evicted.len() == 2);
    replace(&mut world.racks[0].pods[0], "edited:4.1.10");
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(world.images(), BTreeSet::from(["cassandra:5.0.6"]));
}

#[test]
fn an_image_that_somebody_puts_into_a_petset_is_put_right_on_the_way_back() {
    let mut world = World::new(1);
    world.bad.insert("cassandra:5.0.6".to_owned());
    world.until(|world| !world.says("RollBack").is_empty());
    for rack in &mut world.racks {
        give(rack, Some("edited:4.1.10"));
    }
    world.run();
    assert_eq!(world.phase(), Phase::Failed);
    assert_eq!(world.images(), BTreeSet::from(["cassandra:4.1.10"]));
    assert_eq!((ran(&world, "edited:4.1.10"), world.halt()), (0, Halt::None));
}

#[test]
fn a_version_that_a_deposed_leader_sets_late_does_not_stay_after_a_roll_back() {
    let mut world = World::new(1);
    world.until(|world| world.evicted.len() == 3);
    world.request.metadata.deletion_timestamp = Some(Time(world.now));
    world.until(|world| world.evicted.len() == 4);
    world.edit(|cassandra| "5.0.6".clone_into(&mut cassandra.spec.version));
    world.run();
    assert_eq!((world.images(), world.halt()), (BTreeSet::from(["cassandra:4.1.10"]), Halt::None));
    assert_eq!(world.cassandra.as_ref().map(|c| c.spec.version.as_str()), Some("4.1.10"));
    assert!(world.request.finalizers().is_empty());
}

#[test]
fn a_petset_that_somebody_deletes_ends_in_words() {
    let mut world = World::new(1);
    world.until(|world| world.evicted.len() == 1);
    give(&mut world.racks[2], None);
    world.run();
    assert!(world.says("UpdatePetSets").contains("PetSet db-rack-c is gone"));
    for _ in 0..2 {
        world.now += TOO_LONG;
        world.run();
    }
    assert_eq!(world.phase(), Phase::Failed);
    assert!(
        world.says("Failed").contains("db-rack-c is gone") && world.says("Failed").contains("stays halted")
    );
}

#[test]
fn a_halt_of_the_user_after_the_update_is_the_user_s() {
    let mut world = World::new(1);
    world.run();
    world.edit(|cassandra| cassandra.spec.halted = true);
    world.run();
    assert_eq!(world.halt(), Halt::User);
}

#[test]
fn a_user_who_lifts_the_halt_at_the_very_end_leaves_no_mark() {
    let mut world = World::new(1);
    world.until(|world| !world.says("SetVersion").is_empty());
    world.edit(|cassandra| cassandra.spec.halted = false);
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    world.edit(|cassandra| cassandra.spec.halted = true);
    assert_eq!(world.halt(), Halt::User, "a later halt is not taken for that of the request");
}

#[test]
fn a_request_that_is_deleted_under_the_halt_of_a_user_goes_at_once() {
    let mut world = World::new(1);
    world.until(|world| world.phase() == Phase::Progressing);
    world.edit(|cassandra| cassandra.spec.halted = true);
    world.request.metadata.deletion_timestamp = Some(Time(world.now));
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::User));
    assert!(world.says("Failed").contains("Nothing was touched") && world.request.finalizers().is_empty());
}

#[test]
fn waiting_for_the_user_does_not_use_up_the_time_of_a_step() {
    let mut world = World::new(1);
    world.problems = vec!["node x is joining".to_owned()];
    world.run();
    world.edit(|cassandra| cassandra.spec.halted = true);
    world.run();
    assert!(world.says("Waiting").contains("halted by the user"));
    world.now += TOO_LONG;
    world.edit(|cassandra| cassandra.spec.halted = false);
    world.run();
    assert_eq!(world.phase(), Phase::Pending);
    assert!(world.says("Waiting").contains("joining"));
}

#[test]
fn a_wait_is_over_in_words_too_when_the_update_goes_on() {
    let mut world = World::new(1);
    world.until(|world| world.phase() == Phase::Progressing);
    world.edit(|cassandra| cassandra.spec.halted = true);
    world.run();
    assert!(!world.says("Waiting").is_empty());
    world.edit(|cassandra| cassandra.spec.halted = false);
    world.until(|world| !world.evicted.is_empty());
    assert_eq!(world.says("Waiting"), "");
}

#[test]
fn a_pod_that_crashes_on_the_old_version_is_healed_by_the_new_one() {
    let mut world = World::new(1);
    world.request.spec.apply = Apply::Always;
    world.bad.insert("cassandra:4.1.10".to_owned());
    world.crash(1, 0);
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Successful, Halt::None));
    assert_eq!(world.evicted[0], "db-rack-b-0");
    assert_eq!(world.images(), BTreeSet::from(["cassandra:5.0.6"]));
}

#[test]
fn pods_that_crash_in_two_racks_are_healed_one_after_the_other() {
    let mut world = World::new(2);
    world.request.spec.apply = Apply::Always;
    world.bad.insert("cassandra:4.1.10".to_owned());
    world.crash(0, 0);
    world.crash(1, 1);
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Successful, Halt::None));
    assert_eq!(world.evicted[..2], ["db-rack-a-0", "db-rack-b-1"]);
}

#[test]
fn a_bad_image_does_not_go_from_one_pod_that_is_down_to_the_next() {
    let mut world = World::new(2);
    world.request.spec.apply = Apply::Always;
    world.bad = ["cassandra:4.1.10", "cassandra:5.0.6"].map(str::to_owned).into();
    world.crash(0, 0);
    world.crash(1, 1);
    world.run();
    assert_eq!(ran(&world, "cassandra:5.0.6"), 1);
}

/// The clock of the former leader was wrong, or nobody led for an hour: the step gets its full time again.
#[test]
fn what_no_running_operator_has_seen_of_a_step_does_not_count_for_its_timeout() {
    for minutes in [-60, 60] {
        let mut world = World::new(1);
        while world.evicted.is_empty() {
            world.reconcile(true);
        }
        world.problems = vec!["node x is streaming".to_owned()];
        world.run();
        world.now += SignedDuration::from_mins(minutes);
        world.since = world.now;
        world.run();
        assert_eq!(world.phase(), Phase::Progressing, "{minutes} minutes");
        assert!(
            world
                .request
                .status
                .as_ref()
                .is_some_and(|s| s.update_version.as_ref().is_some_and(|u| u.roll_back.is_none()))
        );
        world.now += SignedDuration::from_mins(31);
        world.reconcile(true);
        assert!(world.says("RollBack").contains("streaming"), "it still has an end, {minutes} minutes off");
    }
}

#[test]
fn a_pod_that_finds_no_node_is_taken_back_at_the_timeout() {
    let mut world = World::new(1);
    world.full = true;
    world.run();
    assert_eq!(world.evicted.len(), 1);
    assert!(world.says("RunningPod--db-rack-a-0").contains("0/3 nodes are available"));
    world.now += TOO_LONG;
    world.reconcile(true);
    world.full = false;
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    let failed = world.says("Failed");
    assert!(
        failed.contains("0/3 nodes are available") && failed.contains("whole on version 4.1.10"),
        "{failed}"
    );
    assert_eq!(ran(&world, "cassandra:5.0.6"), 1);
}

#[test]
fn the_same_version_can_be_asked_for_again_after_a_failed_roll_back_was_deleted() {
    let mut world = World::new(1);
    world.bad = ["cassandra:5.0.6", "cassandra:4.1.10"].map(str::to_owned).into();
    world.run();
    world.now += TOO_LONG;
    world.run();
    assert!(world.halt().is_of("request-1"));
    let before = world.images().len();
    // The request is deleted, so its halt is lifted; the provisioner works again and does not renew pods by itself.
    world.edit(|cassandra| {
        cassandra.spec.halted = false;
        cassandra.annotations_mut().remove(HALTED_BY);
    });
    let mut next = world.again();
    next.until(|next| next.phase() == Phase::Progressing);
    assert_eq!(next.images().len(), before);
    next.run();
    assert_eq!((next.phase(), next.halt()), (Phase::Successful, Halt::None));
    assert_eq!(next.images(), BTreeSet::from(["cassandra:5.0.6"]));
}

#[test]
fn a_pod_that_does_not_come_back_after_the_version_was_set_leaves_no_halt() {
    let mut world = World::new(1);
    world.until(|world| !world.says("SetVersion").is_empty());
    replace(&mut world.racks[0].pods[0], "edited:4.1.10");
    world.full = true;
    world.status().phase = Some(CassandraPhase::Critical);
    world.run();
    for _ in 0..2 {
        world.now += TOO_LONG;
        world.run();
    }
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    assert!(world.says("Failed").contains("version 5.0.6 and is resumed"), "{}", world.says("Failed"));
}

#[test]
fn a_pod_that_may_not_be_renewed_after_the_version_was_set_leaves_no_halt() {
    let mut world = World::new(1);
    world.until(|world| !world.says("SetVersion").is_empty());
    replace(&mut world.racks[0].pods[0], "edited:4.1.10");
    world.budget = Some("the budget allows none".to_owned());
    world.run();
    world.now += TOO_LONG;
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    assert!(world.says("Failed").contains("the budget allows none"), "{}", world.says("Failed"));
    assert!(world.request.metadata.finalizers.iter().flatten().next().is_none(), "it may go");
}

/// A node is down for too long between setting the version and lifting the halt, and comes back later.
#[test]
fn a_ring_that_is_not_whole_after_the_version_was_set_is_resumed_all_the_same() {
    let mut world = World::new(1);
    world.until(|world| !world.says("SetVersion").is_empty());
    world.problems = vec!["node x is down".to_owned()];
    world.run();
    assert!(world.halt().is_of("request-1"));
    world.now += TOO_LONG;
    world.until(|world| world.halt() == Halt::None);
    assert_eq!(world.phase(), Phase::Progressing);
    world.run();
    assert_eq!(world.phase(), Phase::Successful, "{}", world.says("Failed"));
}

#[test]
fn a_blocked_eviction_is_told_once_and_named_in_the_end() {
    let mut world = World::new(1);
    world.budget = Some("the budget needs 3 healthy pods".to_owned());
    world.until(|world| !world.says("EvictPod--db-rack-a-0").is_empty());
    let writes = world.writes;
    for _ in 0..50 {
        let step = world.reconcile(true);
        assert!(matches!(step, Some(Step::Evict { .. })));
    }
    assert_eq!(world.writes, writes, "the status does not change while nothing does");
    world.now += TOO_LONG;
    world.run();
    let failed = world.says("Failed");
    assert!(failed.contains("the budget needs 3 healthy pods (for longer than 30m)"), "{failed}");
    assert_eq!(world.halt(), Halt::None);
}

/// The pod is evicted, and the status write that says so fails with a conflict.
#[test]
fn a_pod_whose_eviction_could_not_be_told_is_told_of_later() {
    for waited in [false, true] {
        let mut world = World::new(2);
        world.until(|world| world.is_true("PauseDatabase"));
        if waited {
            world.problems = vec!["a node is down".to_owned()];
            world.until(|world| world.says("GetPod--db-rack-a-0").contains("a node is down"));
            world.problems.clear();
        }
        world.held.insert("db-rack-a-0".to_owned(), String::new());
        while world.evicted.is_empty() {
            world.reconcile(false);
        }
        world.reconcile(true);
        world.held.clear();
        world.run();
        assert_eq!(world.phase(), Phase::Successful);
        for pod in ["a-0", "a-1", "b-0", "b-1", "c-0", "c-1"] {
            for step in ["GetPod", "EvictPod", "RunningPod"] {
                let type_ = format!("{step}--db-rack-{pod}");
                assert!(world.is_true(&type_), "{type_}: {}", world.says(&type_));
            }
        }
    }
}
