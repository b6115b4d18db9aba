//! Before the Cassandra is halted: the image is pulled, and the replication of the keyspaces is checked.

use api::halt::Halt;
use api::ops_request::{Apply, Phase, REPLICATION_CHECK};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use ops_manager::observe::Copies;
use ops_manager::step::Step;
use ops_manager::turn::Turn;
use rstest::rstest;

use super::position;
use super::world::World;

/// A world with pods that have not finished pulling.
fn pulling() -> World {
    let mut world = World::new(1);
    world.slow = true;
    world.until(|world| !world.pull_pods.is_empty());
    world
}

fn untouched(world: &World) -> bool {
    world.halt() == Halt::None && world.evicted.is_empty() && world.ran.is_empty()
}

#[test]
fn the_image_is_on_every_node_before_the_halt_and_nothing_that_pulled_is_left() {
    let mut world = World::new(1);
    let steps = world.run();
    let pull = position(&steps, |s| matches!(s, Step::Pull { places, .. } if places.len() == 3));
    let removal = position(&steps, |s| matches!(s, Step::RemovePullPods { pods } if pods.len() == 3));
    let halt = position(&steps, |s| *s == Step::Halt);
    assert!(pull < removal && removal < halt);
    assert_eq!(world.says("PullImage"), "image cassandra:5.0.6 is on 3 of 3 nodes");
    assert!(world.pull_pods.is_empty());
}

/// The operator dies after the effect of any one step, before the status is written, and restarts.
#[test]
fn a_missing_image_ends_the_request_with_nothing_touched_whenever_the_operator_dies() {
    for crash in 0..10 {
        let mut world = World::new(1);
        world.missing.insert("cassandra:5.0.6".to_owned());
        (0..50).map_while(|n| world.reconcile(n != crash)).for_each(drop);
        assert_eq!(world.phase(), Phase::Failed);
        let failed = world.says("Failed");
        assert!(
            failed.contains("node host-of-db-rack-a-0: image cassandra:5.0.6 cannot be pulled"),
            "{failed}"
        );
        assert!(failed.contains("Nothing was touched"), "{failed}");
        assert!(world.says("PullImage").contains("is on 0 of 3 nodes"));
        assert!(untouched(&world) && world.pull_pods.is_empty());
    }
}

#[test]
fn where_no_pod_may_be_made_that_pulls_the_update_goes_on_without_and_says_so() {
    let mut world = World::new(1);
    world.no_pull_pods = Some("exceeded quota".to_owned());
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(
        world.says("PullImage"),
        "image cassandra:5.0.6 is not pulled before the update begins: exceeded quota"
    );
}

#[test]
fn where_a_node_has_no_room_for_it_the_update_goes_on_without_and_says_so() {
    let mut world = World::new(1);
    world.no_room = Some("OutOfpods: no room".to_owned());
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert!(world.says("PullImage").contains("did not take the pod that pulls (OutOfpods: no room)"));
}

#[test]
fn a_node_that_does_not_come_to_the_image_ends_the_request_at_the_timeout() {
    let mut world = pulling();
    world.now += SignedDuration::from_mins(31);
    world.run();
    assert_eq!(world.phase(), Phase::Failed);
    let failed = world.says("Failed");
    assert!(failed.contains("waits for ContainerCreating (for longer than 30m)"), "{failed}");
    assert!(failed.contains("Nothing was touched") && untouched(&world) && world.pull_pods.is_empty());
}

#[test]
fn an_image_that_is_never_pulled_is_not_pulled_first() {
    let mut world = World::new(1);
    for rack in &mut world.racks {
        rack.never_pulls = true;
    }
    let steps = world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert!(!steps.iter().any(|step| matches!(step, Step::Pull { .. })));
}

#[test]
fn pods_on_one_node_need_one_pull() {
    let mut world = World::new(2);
    for pod in world.racks.iter_mut().flat_map(|rack| &mut rack.pods) {
        pod.host = Some("the only one".to_owned());
    }
    world.slow = true;
    world.until(|world| !world.pull_pods.is_empty());
    assert_eq!(world.pull_pods.len(), 1);
}

#[test]
fn a_pod_that_pulls_and_is_taken_away_is_made_again() {
    let mut world = pulling();
    world.pull_pods.remove(1);
    world.run();
    assert_eq!(world.pull_pods.len(), 3);
}

#[test]
fn a_pod_that_moved_is_followed() {
    let mut world = pulling();
    world.racks[0].pods[0].host = Some("elsewhere".to_owned());
    world.run();
    let hosts: Vec<&str> = world.pull_pods.iter().map(|pull_pod| pull_pod.host.as_str()).collect();
    assert_eq!(hosts, ["host-of-db-rack-b-0", "host-of-db-rack-c-0", "elsewhere"]);
}

#[rstest]
#[case::halted_by_the_user(|world: &mut World| world.edit(|c| c.spec.halted = true), Phase::Pending)]
#[case::superseded(|world: &mut World| world.turn = Turn::Superseded("newer".to_owned()), Phase::Skipped)]
#[case::cassandra_deleted(|world: &mut World| world.cassandra = None, Phase::Denied)]
#[case::ring_not_whole(|world: &mut World| world.problems = vec!["a node is down".to_owned()], Phase::Pending)]
#[case::deleted(|world: &mut World| {
    world.request.metadata.deletion_timestamp = Some(Time(world.now));
}, Phase::Pending)]
fn whatever_comes_between_leaves_no_pod_that_pulls(
    #[case] happens: fn(&mut World),
    #[case] phase: Phase,
    #[values(1, 2, 3)] after: usize,
) {
    let mut world = pulling();
    world.slow = after == 3;
    (0..after).for_each(|_| drop(world.reconcile(true)));
    if world.phase() != Phase::Pending {
        return;
    }
    happens(&mut world);
    world.run();
    assert_eq!(world.phase(), phase);
    assert!(world.pull_pods.is_empty() && world.evicted.is_empty());
}

#[test]
fn a_pod_that_is_down_is_not_waited_for() {
    let mut world = World::new(1);
    world.request.spec.apply = Apply::Always;
    world.crash(1, 0);
    world.slow = true;
    world.until(|world| !world.pull_pods.is_empty());
    assert_eq!(world.pull_pods.len(), 2);
}

fn weak() -> World {
    let mut world = World::new(1);
    let keyspaces = (1..=7).map(|n| format!("keyspace shop{n} (1 copy in datacenter dc1)"));
    world.copies = Copies::TooFew(keyspaces.collect());
    world
}

#[test]
fn a_keyspace_that_does_not_bear_it_is_named_before_anything_starts() {
    let mut world = weak();
    world.until(|world| !world.says("ReplicationCheck").is_empty());
    assert!(untouched(&world) && world.phase() == Phase::Pending);
    let said = world.says("ReplicationCheck");
    assert!(
        said.contains("keyspace shop1 (1 copy in datacenter dc1), ") && said.ends_with(" and 2 more"),
        "{said}"
    );
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
}

#[rstest]
#[case("Refuse", "keyspace shop1 (1 copy")]
#[case("refuse", "\"refuse\" is neither Warn nor Refuse")]
fn a_user_can_have_it_refused(#[case] annotation: &str, #[case] why: &str) {
    let mut world = weak();
    world.request.annotations_mut().insert(REPLICATION_CHECK.to_owned(), annotation.to_owned());
    world.run();
    assert_eq!(world.phase(), Phase::Denied);
    assert!(world.says("Denied").contains(why), "{}", world.says("Denied"));
    assert!(untouched(&world) && world.pull_pods.is_empty());
}

#[test]
fn what_cannot_be_told_holds_up_only_a_user_who_wants_to_be_sure() {
    for strict in [false, true] {
        let mut world = weak();
        world.copies = Copies::Unknown("no node answers".to_owned());
        let annotation = if strict { "Refuse" } else { "Warn" };
        world.request.annotations_mut().insert(REPLICATION_CHECK.to_owned(), annotation.to_owned());
        world.run();
        assert_eq!(world.phase(), if strict { Phase::Pending } else { Phase::Successful });
        let condition = if strict { "Waiting" } else { "ReplicationCheck" };
        assert!(world.says(condition).contains("no node answers"));
    }
}

#[test]
fn a_ring_of_one_node_says_so() {
    let mut world = World::new(1);
    world.racks.truncate(1);
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert!(world.says("ReplicationCheck").contains("the ring has one node"));
}
