//! Vertical scaling: every pod once with its new size, or back to the size that it had.

use std::collections::BTreeMap;

use api::cassandra::Phase as CassandraPhase;
use api::halt::Halt;
use api::ops_request::{Apply, NodeResources, NodeScaling, OpsType, Phase, VerticalScaling};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use ops_manager::step::Step;
use rstest::rstest;

use super::world::World;

fn limit(memory: &str) -> NodeResources {
    let limits = BTreeMap::from([("memory".to_owned(), Quantity(memory.to_owned()))]);
    NodeResources { limits, ..NodeResources::default() }
}

/// A ring whose nodes have 1536Mi, and a request for this memory.
fn world(replicas: i32, memory: &str) -> World {
    let mut world = World::new(replicas);
    world.request.spec.type_ = OpsType::VerticalScaling;
    world.request.spec.update_version = None;
    let node = NodeScaling { resources: limit(memory) };
    world.request.spec.vertical_scaling = Some(VerticalScaling { node, ..VerticalScaling::default() });
    world
}

/// The memory that each rack's spec asks for, that its template has, and with which its first pod was made.
fn memory(world: &World) -> Vec<[String; 3]> {
    let cassandra = world.cassandra.as_ref().expect("there is a Cassandra");
    let text = |resources: &NodeResources| resources.limits.get("memory").map(|it| it.0.clone());
    let of = |(spec, rack): (desired::Rack, &ops_manager::observe::Rack)| {
        let template = rack.size.as_ref().and_then(|size| text(&size.resources)).unwrap_or_default();
        let pod = rack.pods[0].revision.rsplit_once(" with ").map_or("1536Mi", |(_, size)| size);
        [text(&desired::asked(&spec)).unwrap_or_default(), template, pod.to_owned()]
    };
    desired::racks(cassandra).into_iter().zip(&world.racks).map(of).collect()
}

fn all(spec: &str, rest: &str) -> Vec<[String; 3]> {
    vec![[spec, rest, rest].map(str::to_owned); 3]
}

#[test]
fn every_pod_is_renewed_once_with_its_new_size_and_then_the_spec_says_so() {
    let mut world = world(2, "4Gi");
    let steps = world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Successful, Halt::None), "{:?}", world.request.status);
    let order = ["a-0", "a-1", "b-0", "b-1", "c-0", "c-1"].map(|pod| format!("db-rack-{pod}"));
    assert_eq!(world.evicted, order);
    assert_eq!(memory(&world), all("4Gi", "4Gi"));
    let commit = steps.iter().position(|step| matches!(step, Step::Commit(_)));
    assert!(commit > steps.iter().rposition(|step| matches!(step, Step::Evict { .. })));
    for told in ["UpdatePetSets", "RestartPods", "RunningPod--db-rack-c-1", "VerifyRing", "SetResources"] {
        assert!(world.is_true(told), "{told}");
    }
    let said = world.says("VerticalScaling");
    assert!(
        said.contains(
            "6 nodes memory at most 4Gi; the heap of db-rack-a, db-rack-b, db-rack-c goes from 768M to 2048M"
        ),
        "{said}"
    );
}

/// The operator dies after the effect of any one step, before the status is written, and restarts.
#[rstest]
#[case::forward("4Gi", Phase::Successful, 3, all("4Gi", "4Gi"))]
#[case::and_back("8Gi", Phase::Failed, 2, all("", "1536Mi"))]
fn it_survives_a_crash_after_every_step(
    #[case] asked: &str,
    #[case] phase: Phase,
    #[case] evictions: usize,
    #[case] outcome: Vec<[String; 3]>,
) {
    let world = || {
        let mut world = world(1, asked);
        world.bad.insert("cassandra:4.1.10 with 8Gi".to_owned());
        world
    };
    let steps = world().run().len();
    for crash in 0..steps {
        let mut world = world();
        (0..500).map_while(|n| world.reconcile(n != crash)).for_each(drop);
        assert_eq!((world.phase(), world.halt()), (phase, Halt::None), "crash after step {crash}");
        assert_eq!(memory(&world), outcome, "crash after step {crash}");
        assert_eq!(world.evicted.len(), evictions, "crash after step {crash}");
    }
}

/// Racks may differ, and an edit of the user's may wait in one of them.
#[test]
fn a_size_that_a_pod_does_not_come_up_with_reaches_one_pod_and_each_rack_keeps_what_it_had() {
    let mut world = world(2, "8Gi");
    world.bad.insert("cassandra:4.1.10 with 8Gi".to_owned());
    let sizes = ["2Gi", "3Gi", "3Gi"];
    for (rack, memory) in world.racks.iter_mut().zip(sizes) {
        let limits = &mut rack.size.as_mut().unwrap().resources.limits;
        limits.insert("memory".to_owned(), Quantity(memory.to_owned()));
        let revision = format!("cassandra:4.1.10 with {memory}");
        rack.pods.iter_mut().for_each(|pod| pod.revision.clone_from(&revision));
        rack.revision = Some(revision);
    }
    let asked = sizes.map(|memory| limit(if memory == "2Gi" { "2Gi" } else { "5Gi" }));
    let names = world.racks.iter().map(|rack| rack.petset.clone());
    desired::ask(&mut world.cassandra.as_mut().unwrap().spec, "db", &names.zip(asked).collect());
    let before = memory(&world);
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    assert_eq!(world.evicted, ["db-rack-a-0", "db-rack-a-0"]);
    assert_eq!(memory(&world), before);
    let said = world.says("Failed");
    assert!(said.ends_with("The ring is whole, and its nodes have the size that they had"), "{said}");
}

/// What a ring needs whose nodes run out of memory.
#[test]
fn with_apply_always_a_node_that_is_down_gets_its_size_first() {
    let mut world = world(2, "4Gi");
    world.crash(1, 1);
    world.status().phase = Some(CassandraPhase::Critical);
    world.run();
    assert_eq!((world.phase(), world.evicted.len()), (Phase::Pending, 0));
    world.request.spec.apply = Apply::Always;
    world.until(|world| !world.evicted.is_empty());
    assert_eq!(world.evicted, ["db-rack-b-1"]);
    world.run();
    world.status().phase = Some(CassandraPhase::Ready);
    world.run();
    assert_eq!((world.phase(), world.evicted.len()), (Phase::Successful, 6), "{:?}", world.request.status);
    assert_eq!(memory(&world), all("4Gi", "4Gi"));
}

#[test]
fn a_request_that_is_deleted_in_the_middle_goes_back() {
    let mut world = world(1, "4Gi");
    world.until(|world| world.evicted.len() == 2);
    world.request.metadata.deletion_timestamp = Some(Time(world.now));
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    assert_eq!(memory(&world), all("", "1536Mi"));
    assert_eq!(world.evicted.len(), 4);
}

#[test]
fn too_little_memory_is_denied_and_nothing_is_touched() {
    let mut world = world(1, "300Mi");
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Denied, Halt::None));
    let said = world.says("Denied");
    assert!(
        said.starts_with("spec.verticalScaling.node.resources: 300Mi of memory are too little"),
        "{said}"
    );
    assert!(said.ends_with("Give it 512Mi or more. Nothing was touched"), "{said}");
}

#[test]
fn an_edit_of_the_spec_between_begin_and_halt_ends_it() {
    let mut world = world(1, "4Gi");
    world.until(|world| world.phase() == Phase::Progressing);
    let asked = world.racks.iter().map(|rack| (rack.petset.clone(), limit("6Gi"))).collect();
    world.edit(|cassandra| desired::ask(&mut cassandra.spec, "db", &asked));
    world.run();
    assert_eq!((world.phase(), world.evicted.len()), (Phase::Failed, 0));
    assert!(world.says("Failed").contains("asks for other resources by now"), "{}", world.says("Failed"));
}
