//! Lasting refusals: by policies, budgets, quotas, a manifest in Git, or a pod that does not terminate.

use std::collections::BTreeSet;

use api::halt::Halt;
use api::ops_request::{Apply, Phase};
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use ops_manager::observe::Admission;
use ops_manager::step::Step;
use rstest::rstest;

use super::world::{World, give, replace};

const TOO_LONG: SignedDuration = SignedDuration::from_mins(31);
const WHY: &str = "refused (admission webhook \"guard\" denied the request: not today)";

/// Runs until all time limits have run out.
fn run_out(world: &mut World) {
    for _ in 0..4 {
        world.run();
        world.now += TOO_LONG;
    }
    world.run();
}

#[rstest]
#[case::the_intent(|s: &Step| matches!(s, Step::Begin { .. }), "Waiting", "Nothing was touched", Halt::None)]
#[case::the_pods_that_pull(
    |s: &Step| matches!(s, Step::Pull { .. }), "PullImage", "Nothing was touched", Halt::None
)]
#[case::the_halt(|s: &Step| *s == Step::Halt, "PauseDatabase", "The ring is whole on version 4.1.10, as before", Halt::None)]
#[case::an_image(
    |s: &Step| matches!(s, Step::SetImage { .. }), "UpdatePetSets", "The ring is whole on version 4.1.10, as before", Halt::None
)]
#[case::an_eviction(
    |s: &Step| matches!(s, Step::Evict { .. }), "EvictPod--db-rack-a-0", "The ring is whole on version 4.1.10, as before", Halt::None
)]
#[case::the_version(
    |s: &Step| matches!(s, Step::Commit(_)), "SetVersion", "The ring is whole on version 4.1.10, as before", Halt::None
)]
#[case::the_resume(
    |s: &Step| *s == Step::Resume, "ResumeDatabase", "The Cassandra stays halted until its halt can be lifted",
    Halt::Request("request-1".to_owned())
)]
fn a_write_that_is_refused_for_ever_is_told_and_ends_at_the_timeout(
    #[case] what: fn(&Step) -> bool,
    #[case] condition: &str,
    #[case] ending: &str,
    #[case] halt: Halt,
) {
    let mut world = World::new(1);
    world.refused = Some((what, WHY));
    world.run();
    assert!(!world.phase().is_final());
    assert_eq!(world.says(condition), WHY);
    let writes = world.writes;
    for _ in 0..20 {
        world.reconcile(true);
    }
    assert_eq!(world.writes, writes, "the status does not change while nothing does");
    run_out(&mut world);
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, halt));
    let failed = world.says("Failed");
    assert!(failed.contains("guard") && failed.contains(ending), "{failed}");
    // What is left to do is done as soon as it is allowed.
    world.refused = None;
    world.run();
    assert_eq!(world.halt(), Halt::None);
    assert!(world.request.finalizers().is_empty() && world.images().len() == 1);
}

#[test]
fn a_write_that_is_let_in_again_goes_on_and_leaves_no_complaint() {
    for what in [
        (|s: &Step| *s == Step::Halt) as fn(&Step) -> bool,
        |s: &Step| matches!(s, Step::Begin { .. }),
        |s: &Step| matches!(s, Step::SetImage { .. }),
        |s: &Step| matches!(s, Step::Evict { .. }),
        |s: &Step| matches!(s, Step::Commit(_)),
        |s: &Step| matches!(s, Step::Resume),
    ] {
        let mut world = World::new(1);
        world.refused = Some((what, WHY));
        world.run();
        world.refused = None;
        world.run();
        assert_eq!(world.phase(), Phase::Successful);
        let conditions = world.request.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let complaints: Vec<_> = conditions.iter().filter(|c| c.message.contains("guard")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}

#[test]
fn a_roll_back_whose_writes_are_refused_ends_and_says_so() {
    let mut world = World::new(1);
    world.bad.insert("cassandra:5.0.6".to_owned());
    world.until(|world| !world.says("RollBack").is_empty());
    world.refused = Some((|s: &Step| matches!(s, Step::SetImage { .. } | Step::Evict { .. }), WHY));
    world.run();
    assert_eq!(world.says("RollBackUpdatePetSets"), WHY);
    run_out(&mut world);
    let failed = world.says("Failed");
    assert!(failed.contains("db-rack-a-0: it crashes. The roll-back could not finish"), "{failed}");
    assert!(failed.contains("guard") && failed.contains("stays halted"), "{failed}");
}

/// Two waits that alternate, such as for a pod that comes and goes and for a ring that misses that pod.
#[test]
fn waits_that_take_turns_have_an_end() {
    let mut world = World::new(1);
    world.until(|world| world.evicted.len() == 1);
    world.until(|world| world.racks[0].pods[0].ready && !world.racks[0].pods[0].terminating);
    world.problems = vec!["node x is down".to_owned()];
    let mut flaps = 0;
    while world.says("RollBack").is_empty() && flaps < 20 {
        world.racks[0].pods[0].ready = flaps % 2 == 0;
        world.reconcile(true);
        world.now += SignedDuration::from_mins(20);
        flaps += 1;
    }
    assert!(flaps < 8, "it went on for {flaps} times 20 minutes");
}

/// A ring of many nodes takes longer than one time limit, but each node takes less.
#[test]
fn each_node_has_its_time() {
    let mut world = World::new(3);
    let mut seen = 0;
    for _ in 0..500 {
        if world.evicted.len() > seen {
            seen = world.evicted.len();
            world.now += SignedDuration::from_mins(25);
        }
        world.reconcile(true);
    }
    assert_eq!((world.phase(), world.evicted.len()), (Phase::Successful, 9));
}

/// The record of an older release has no number: its step continues from where it was.
#[test]
fn a_request_that_is_under_way_when_the_operator_is_renewed_goes_on() {
    let mut world = World::new(1);
    world.until(|world| world.evicted.len() == 1);
    world.problems = vec!["node x is streaming".to_owned()];
    world.run();
    let forget = |world: &mut World| {
        let status = world.request.status.as_mut().expect("it has begun");
        status.step.as_mut().expect("a step is under way").reached = None;
        status.update_version.as_mut().expect("it has begun").cassandra = None;
    };
    forget(&mut world);
    world.now += SignedDuration::from_mins(20);
    world.reconcile(true);
    assert_eq!(world.says("RollBack"), "");
    forget(&mut world);
    world.now += SignedDuration::from_mins(20);
    world.reconcile(true);
    assert!(world.says("RollBack").contains("streaming"));
    world.problems.clear();
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
}

#[test]
fn a_roll_back_does_not_call_a_ring_whole_while_a_node_is_down() {
    let mut world = World::new(1);
    world.bad.insert("cassandra:5.0.6".to_owned());
    world.until(|world| world.evicted.len() == 2);
    world.full = true;
    world.until(|world| world.images() == BTreeSet::from(["cassandra:4.1.10"]));
    // The spec is edited, so for a moment the halt is not answered for the new generation.
    world.answers = false;
    world.edit(|_| {});
    world.run();
    assert!(world.halt().is_of("request-1"), "resumed with a node down: {}", world.says("Failed"));
    world.answers = true;
    world.full = false;
    world.run();
    assert!(world.says("Failed").ends_with("The ring is whole on version 4.1.10, as before"));
}

#[test]
fn another_cassandra_of_the_same_name_is_not_touched() {
    let mut world = World::new(1);
    world.edit(|cassandra| cassandra.metadata.uid = Some("first".to_owned()));
    world.until(|world| world.evicted.len() == 1);
    let mut other = World::new(1);
    other.edit(|cassandra| cassandra.metadata.uid = Some("second".to_owned()));
    (world.cassandra, world.racks) = (other.cassandra, other.racks);
    let before = world.cassandra.clone();
    world.run();
    assert_eq!((world.phase(), world.evicted.len()), (Phase::Failed, 1));
    assert!(world.says("Failed").contains("Another one has its name now, and was not touched"));
    let spec = |cassandra: &Option<api::Cassandra>| {
        cassandra.as_ref().map(|c| (c.spec.clone(), c.annotations().clone()))
    };
    assert_eq!(spec(&world.cassandra), spec(&before));
}

/// Both requests began from the same state; the other one came first and has brought the ring to another version.
#[test]
fn a_request_whose_source_is_gone_before_its_halt_touches_nothing() {
    let mut world = World::new(1);
    world.target("4.1.10");
    world.spec().version = "4.1.9".to_owned();
    world.until(|world| world.phase() == Phase::Progressing);
    world.edit(|cassandra| "5.0.6".clone_into(&mut cassandra.spec.version));
    for rack in &mut world.racks {
        give(rack, Some("cassandra:5.0.6"));
        rack.pods.iter_mut().for_each(|pod| replace(pod, "cassandra:5.0.6"));
    }
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    assert!(world.evicted.is_empty() && world.says("Failed").contains("Nothing was touched"));
}

#[test]
fn a_budget_that_counts_what_is_down_blocks_the_healing_and_one_that_does_not_lets_it_pass() {
    for keeps_unhealthy in [true, false] {
        let mut world = World::new(1);
        world.request.spec.apply = Apply::Always;
        world.bad.insert("cassandra:4.1.10".to_owned());
        world.crash(0, 0);
        world.crash(1, 0);
        world.keeps_unhealthy = keeps_unhealthy;
        run_out(&mut world);
        let healed = (world.phase(), world.halt()) == (Phase::Successful, Halt::None);
        assert_eq!(healed, !keeps_unhealthy, "{}", world.says("Failed"));
    }
}

#[test]
fn a_pod_that_does_not_end_is_told_and_leaves_no_halt() {
    let mut world = World::new(1);
    world.held.insert("db-rack-a-0".to_owned(), "its finalizers example.com/lost-node".to_owned());
    world.run();
    let told = "it is Terminating, and held by its finalizers example.com/lost-node";
    assert!(
        world.says("RunningPod--db-rack-a-0").contains(told),
        "{}",
        world.says("RunningPod--db-rack-a-0")
    );
    world.now += TOO_LONG;
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    let failed = world.says("Failed");
    assert!(failed.contains(told) && failed.contains("for what is not Ready: pod db-rack-a-0"), "{failed}");
    assert!(world.racks.iter().all(|rack| rack.image.as_deref() == Some("cassandra:4.1.10")));
}

/// A lost machine reports nothing: all that is known is that the pod is Terminating for longer than its grace period.
#[test]
fn a_pod_on_a_lost_machine_is_told_after_its_grace() {
    let mut world = World::new(1);
    world.held.insert("db-rack-a-0".to_owned(), String::new());
    world.racks[0].pods[0].grace = 120;
    world.run();
    assert!(world.says("RunningPod--db-rack-a-0").contains("drain and stop"));
    world.now += SignedDuration::from_mins(4);
    world.reconcile(true);
    let said = world.says("RunningPod--db-rack-a-0");
    assert!(said.contains("host-of-db-rack-a-0 for longer than its grace of 120 s"), "{said}");
}

#[test]
fn a_manifest_that_lifts_the_halt_again_and_again_does_not_bring_the_old_image_back() {
    let mut world = World::new(2);
    let mut looks = 0;
    while !world.phase().is_final() && looks < 500 {
        world.reconcile(true);
        looks += 1;
        if looks % 5 == 0 && world.phase() == Phase::Progressing && world.halt() != Halt::None {
            let before: Vec<_> = world.racks.iter().map(|rack| rack.image.clone()).collect();
            world.lift();
            let after: Vec<_> = world.racks.iter().map(|rack| rack.image.clone()).collect();
            assert_eq!(after, before, "the provisioner keeps still while the mark is there");
        }
    }
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Successful, Halt::None));
    assert_eq!(world.evicted.len(), 6, "each pod is renewed once");
    assert!(world.ran.iter().all(|(_, image)| image == "cassandra:5.0.6"), "{:?}", world.ran);
    assert!(world.says("HaltLifted").contains("gitops"), "{}", world.says("HaltLifted"));
}

#[rstest]
#[case(Admission::Refused("violates PodSecurity \"restricted:latest\"".to_owned()), Phase::Denied, "Denied")]
#[case(Admission::Unclear("failed calling webhook \"violates\"".to_owned()), Phase::Failed, "Failed")]
fn a_pod_that_would_not_be_let_in_again_is_found_before_anything_is_touched(
    #[case] admission: Admission,
    #[case] phase: Phase,
    #[case] condition: &str,
) {
    let mut world = World::new(1);
    world.admission = admission;
    run_out(&mut world);
    assert_eq!((world.phase(), world.halt()), (phase, Halt::None));
    let said = world.says(condition);
    assert!(said.contains("violates") && said.contains("Nothing was touched"), "{said}");
    assert!(world.evicted.is_empty() && world.pull_pods.is_empty());
}
