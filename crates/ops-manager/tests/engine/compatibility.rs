//! Things that the target does not know are found before anything is changed.

use std::collections::BTreeMap;

use api::halt::Halt;
use api::ops_request::{Apply, Phase};
use cassandra::schema::{By, Relation, Use};
use ops_manager::preparation::known_to_target::{Names, Setting};
use ops_manager::step::Step;
use rstest::rstest;

use super::world::World;

fn names(by: By, class: &str) -> Names {
    let it = Use { keyspace: "shop".to_owned(), by, names: class.to_owned() };
    Names { schema: Some(Ok(vec![it])), settings: Some(Ok(vec![])) }
}

/// Tables with a compaction strategy that 5.0 does not have.
fn tables(count: usize) -> Names {
    let class = "org.apache.cassandra.db.compaction.DateTieredCompactionStrategy";
    let table = |n| Use {
        keyspace: "shop".to_owned(),
        by: By::Compaction(Relation::Table(format!("orders{n}"))),
        names: class.to_owned(),
    };
    Names { schema: Some(Ok((1..=count).map(table).collect())), settings: Some(Ok(vec![])) }
}

fn audit() -> By {
    By::Trigger { table: "orders".to_owned(), name: "audit".to_owned() }
}

/// A world whose schema uses a class of the user's; `there`: whether it is in the target's image, or `None` for no answer.
fn with_a_trigger(there: Option<bool>) -> World {
    let mut world = World::new(1);
    world.names = names(audit(), "com.example.Audit");
    world.classes = BTreeMap::from([("com.example.Audit".to_owned(), there)]);
    world
}

fn reason(world: &World, type_: &str) -> String {
    let conditions = world.request.status.as_ref().map_or(&[][..], |s| &s.conditions);
    api::condition::get(conditions, type_).map(|c| c.reason.clone()).unwrap_or_default()
}

fn untouched(world: &World) -> bool {
    world.halt() == Halt::None
        && world.evicted.is_empty()
        && world.ran.is_empty()
        && world.pull_pods.is_empty()
}

#[rstest]
#[case(Apply::IfReady)]
#[case(Apply::Always)]
fn a_table_that_the_target_cannot_open_is_named_with_what_helps(#[case] apply: Apply) {
    let mut world = World::new(1);
    world.request.spec.apply = apply;
    world.names = tables(1);
    let steps = world.run();
    assert_eq!(world.phase(), Phase::Denied);
    assert_eq!(reason(&world, "Denied"), "UnknownToTarget");
    assert_eq!(
        world.says("Denied"),
        "CassandraVersion 5.0.6 does not know what is in use: table shop.orders1: \
         DateTieredCompactionStrategy was removed in 5.0 (ALTER TABLE shop.orders1 WITH compaction = \
         {'class': 'TimeWindowCompactionStrategy'}). Nothing was touched"
    );
    assert!(untouched(&world) && !steps.iter().any(|step| matches!(step, Step::Pull { .. })));
}

#[test]
fn the_same_table_is_no_hindrance_for_a_target_that_knows_it() {
    let mut world = World::new(1);
    world.names = tables(1);
    world.catalog.insert("4.1.11".to_owned(), crate::fixtures::version("4.1.11"));
    world.target("4.1.11");
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(reason(&world, "CompatibilityCheck"), "Compatible");
}

#[test]
fn a_message_names_five_and_counts_the_rest() {
    let mut world = World::new(1);
    world.names = tables(7);
    world.run();
    let said = world.says("Denied");
    assert!(
        said.contains("orders5") && !said.contains("orders6") && said.contains("; and 2 more."),
        "{said}"
    );
}

#[test]
fn a_class_that_the_image_has_not_is_named_after_a_look_into_it() {
    let mut world = with_a_trigger(Some(false));
    world.until(|world| reason(world, "CompatibilityCheck") == "Looking");
    world.run();
    assert_eq!(world.phase(), Phase::Denied);
    let said = world.says("Denied");
    assert!(
        said.contains(
            "trigger audit of table shop.orders: class com.example.Audit is not in image cassandra:5.0.6: every \
             write to the table would fail"
        ) && said.contains("DROP TRIGGER audit ON shop.orders"),
        "{said}"
    );
    assert!(untouched(&world));
}

#[test]
fn a_class_that_the_image_has_is_let_through() {
    let mut world = with_a_trigger(Some(true));
    world.run();
    assert_eq!(
        (world.phase(), reason(&world, "CompatibilityCheck").as_str()),
        (Phase::Successful, "Compatible")
    );
}

/// The image could not be searched: it has no shell, the pod was refused, or jars come with a volume.
#[rstest]
#[case::no_answer(|_: &mut World| {}, "image cassandra:5.0.6 could not be looked into for class com.example.Audit")]
#[case::no_pod(|world: &mut World| world.no_pull_pods = Some("exceeded quota".to_owned()), "could not be looked into")]
#[case::no_room(|world: &mut World| world.no_room = Some("OutOfpods".to_owned()), "could not be looked into")]
#[case::own_jars(|world: &mut World| world.racks[0].brings_classes = true, "may come with a volume")]
fn what_cannot_be_found_out_is_told_and_holds_nothing_up(
    #[case] happens: fn(&mut World),
    #[case] said: &str,
) {
    let mut world = with_a_trigger(None);
    happens(&mut world);
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    assert_eq!(reason(&world, "CompatibilityCheck"), "Unknown");
    assert!(world.says("CompatibilityCheck").contains(said), "{}", world.says("CompatibilityCheck"));
}

#[test]
fn a_schema_that_nobody_tells_of_is_told_and_holds_nothing_up() {
    let mut world = World::new(1);
    world.names = Names {
        schema: Some(Err("no node answers".to_owned())),
        settings: Some(Err("Secret conf cannot be read: not found".to_owned())),
    };
    world.run();
    assert_eq!(world.phase(), Phase::Successful);
    let said = world.says("CompatibilityCheck");
    assert!(said.contains("no node answers") && said.contains("Secret conf cannot be read"), "{said}");
}

#[test]
fn a_setting_that_the_target_does_not_load_is_named() {
    let mut world = World::new(1);
    let setting = Setting {
        origin: "Secret conf".to_owned(),
        key: "commitlog_sync_batch_window_in_ms".to_owned(),
        is_true: false,
    };
    world.names = Names { schema: Some(Ok(vec![])), settings: Some(Ok(vec![setting])) };
    world.run();
    assert_eq!((world.phase(), reason(&world, "Denied").as_str()), (Phase::Denied, "UnknownToTarget"));
    let said = world.says("Denied");
    assert!(
        said.contains("Secret conf: setting commitlog_sync_batch_window_in_ms: it was removed in 5.0"),
        "{said}"
    );
    assert!(untouched(&world));
}
