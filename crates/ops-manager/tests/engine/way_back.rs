//! What the target has added to the schema is found before any pod is created from the source again.

use std::collections::BTreeSet;

use api::halt::Halt;
use cassandra::schema::{By, Use};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use ops_manager::preparation::known_to_target::Names;
use ops_manager::step::Step;

use super::world::World;

fn schema(uses: Vec<Use>) -> Names {
    Names { schema: Some(Ok(uses)), settings: None }
}

fn an_index() -> Use {
    let by = By::Index("by_name".to_owned());
    Use { keyspace: "shop".to_owned(), by, names: "StorageAttachedIndex".to_owned() }
}

/// The first pod runs the target, somebody uses something that only the target knows, and the user asks for a roll-back.
fn stopped_with(uses: Vec<Use>) -> World {
    let mut world = World::new(1);
    world.until(|world| !world.evicted.is_empty());
    world.until(|world| world.racks[0].pods[0].ready);
    world.names = schema(uses);
    world.request.metadata.deletion_timestamp = Some(Time(world.now));
    world
}

#[test]
fn what_the_source_does_not_know_holds_up_the_way_back_until_it_is_gone() {
    let mut world = stopped_with(vec![an_index()]);
    let steps: Vec<Step> = (0..20).map_while(|_| world.reconcile(true)).collect();
    assert!(!steps.iter().any(|step| matches!(step, Step::SetImage { .. } | Step::Evict { .. })));
    let says = world.says("RollBackUpdatePetSets");
    assert!(says.starts_with("CassandraVersion 4.1.10 does not know what is in use by now"), "{says}");
    assert!(says.contains("DROP INDEX shop.by_name"), "{says}");
    world.names = schema(vec![]);
    world.run();
    assert_eq!(world.images(), BTreeSet::from(["cassandra:4.1.10"]));
    assert_eq!(world.halt(), Halt::None);
}

#[test]
fn a_node_that_does_not_answer_any_more_holds_nothing_up() {
    let mut world = stopped_with(vec![an_index()]);
    world.racks[0].pods[0].ready = false;
    world.bad.insert("cassandra:5.0.6".to_owned());
    world.run();
    assert_eq!(world.images(), BTreeSet::from(["cassandra:4.1.10"]));
    assert_eq!(world.halt(), Halt::None);
}
