//! A pod counts as renewed by the revision of its template, whatever its image says.

use api::halt::Halt;
use api::ops_request::Phase;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;

use super::world::World;

fn pods(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("db-rack-{name}")).collect()
}

#[test]
fn a_webhook_that_rewrites_images_makes_no_second_eviction() {
    let mut world = World::new(1);
    world.rewrites = "harbor.example.com/";
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Successful, Halt::None), "{}", world.says("Failed"));
    assert_eq!(world.evicted, pods(&["a-0", "b-0", "c-0"]));
}

#[test]
fn under_a_webhook_that_rewrites_images_only_what_was_renewed_goes_back() {
    let mut world = World::new(1);
    world.rewrites = "harbor.example.com/";
    for pod in world.racks.iter_mut().flat_map(|rack| &mut rack.pods) {
        pod.image.insert_str(0, "harbor.example.com/");
    }
    world.until(|world| world.evicted.len() == 2);
    world.request.metadata.deletion_timestamp = Some(Time(world.now));
    world.run();
    assert_eq!(world.halt(), Halt::None);
    assert_eq!(world.evicted, pods(&["a-0", "b-0", "a-0", "b-0"]));
    assert!(world.images().iter().all(|image| *image == "harbor.example.com/cassandra:4.1.10"));
}

/// The user has edited the templates before the update.
#[test]
fn an_edit_that_waits_for_a_restart_is_brought_by_no_update() {
    let mut world = World::new(1);
    world.racks.iter_mut().for_each(|rack| rack.waits = true);
    world.bad.insert("cassandra:5.0.6".to_owned());
    world.run();
    assert_eq!((world.phase(), world.halt()), (Phase::Failed, Halt::None));
    assert_eq!(world.evicted, pods(&["a-0", "a-0"]));
    assert!(world.says("Failed").contains("whole on version 4.1.10"), "{}", world.says("Failed"));
    assert!(world.edited.is_empty() && world.racks.iter().all(|rack| rack.waits));
    assert_eq!(world.racks[0].pods[0].revision, "cassandra:4.1.10", "exactly what it ran before");
}

/// The request began under a release of the ops-manager that went by images.
#[rstest]
#[case::forward(false, &["a-0", "b-0", "c-0"])]
#[case::back(true, &["a-0", "b-0", "a-0", "b-0"])]
fn a_request_that_began_without_revisions_is_finished(#[case] stopped: bool, #[case] evicted: &[&str]) {
    let mut world = World::new(1);
    world.until(|world| world.evicted.len() == 2);
    let record = world.request.status.as_mut().and_then(|status| status.update_version.as_mut());
    record.expect("it has begun").before = None;
    world.request.metadata.deletion_timestamp = stopped.then_some(Time(world.now));
    world.run();
    assert_eq!((world.phase() == Phase::Successful, world.halt()), (!stopped, Halt::None));
    assert_eq!(world.evicted, pods(evicted));
    assert_eq!(world.images().len(), 1);
}
