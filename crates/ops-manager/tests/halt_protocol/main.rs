//! Model checking of the halt protocol: every order of events within the bounds below.
//!
//! Both operators decide with the shipped code ([`shipped`]). Their writes go to a model of the API server that knows only
//! resource versions, a finalizer and a PodDisruptionBudget ([`cluster`], [`state`]). Each call is a step of its own
//! ([`operators`]), and between any two of them everything may happen that [`model`] and [`chance`] list. [`judge`] has the
//! properties that must hold. `cargo test -p ops-manager --test halt_protocol` explores the small bounds, `make model` the
//! large ones too.
//!
//! A cache is up to date unless a fault has stopped the watch of one kind. Then it keeps its content until it catches up, and
//! skips the changes in between.
//!
//! Not modelled: more than [`RACKS`] racks, pods that pull an image (each PetSet has one that never pulls), clocks that differ,
//! two stale kinds for one operator at the same time, and a user who lifts a request's halt and sets one of their own before
//! the ops-manager has removed the mark: that halt counts as the request's.

#![allow(missing_docs, reason = "the names say it")]
#![expect(clippy::expect_used, reason = "a broken expectation ends the test")]

mod chance;
mod cluster;
mod ending;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod generations;
mod judge;
mod model;
mod operators;
mod shipped;
mod state;

use std::collections::BTreeSet;
use std::time::Instant;

use cluster::Ask::{self, Restart, Update};
use cluster::Version::{New, Newer};
use judge::property;
use model::Halts;
use rstest::rstest;
use stateright::{Checker, HasDiscoveries, Model};

/// Number of racks; each has a PetSet.
pub const RACKS: usize = 1;
/// Number of pods per rack.
pub const PODS_PER_RACK: usize = 2;
/// Number of requests for the Cassandra: the first exists from the beginning, the user creates the others.
pub const REQUESTS: usize = 2;

/// How often each kind of event may happen in one run.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Bounds {
    /// A leader crashes, or is deposed and its last write arrives late.
    pub crashes: u8,
    /// The watch of a kind stops delivering, for a leader or for the next leader.
    pub stalls: u8,
    /// A timeout runs out, a pod dies, or writes of one kind are refused for ever.
    pub troubles: u8,
    /// The user acts.
    pub user: u8,
}

impl Bounds {
    pub const NOTHING: Self = Self { crashes: 0, stalls: 0, troubles: 0, user: 0 };
}

/// A part of the protocol that is left out, to show that the check finds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Breakage {
    /// The ops-manager does not wait for the answer.
    NoAnswer,
    /// The provisioner's writes to a PetSet are not conditional on its resource version.
    NoFence,
    /// Halts have no mark: a request takes any halt for its own.
    NoMark,
    /// The provisioner trusts its cache of Cassandras and does not confirm it.
    NoConfirmation,
    /// The ring has no PodDisruptionBudget.
    NoBudget,
}

#[rstest]
#[case::a_stall(Bounds { stalls: 1, ..Bounds::NOTHING })]
#[case::a_user(Bounds { user: 1, ..Bounds::NOTHING })]
#[case::crashes(Bounds { crashes: 2, ..Bounds::NOTHING })]
#[case::troubles(Bounds { troubles: 2, ..Bounds::NOTHING })]
#[case::a_crash_and_trouble(Bounds { crashes: 1, troubles: 1, ..Bounds::NOTHING })]
#[case::trouble_and_a_user(Bounds { troubles: 1, user: 1, ..Bounds::NOTHING })]
fn the_protocol_holds(#[case] bounds: Bounds) {
    explore(bounds, [Update(New); REQUESTS]);
}

/// The second update, which the user creates, goes on from where the first has brought the ring, or repairs what it has left.
#[test]
fn the_protocol_holds_for_updates_to_different_versions() {
    explore(Bounds { user: 1, ..Bounds::NOTHING }, [Update(New), Update(Newer)]);
}

/// A restart alone or first, and an update before a restart.
#[rstest]
#[case::a_stall(Bounds { stalls: 1, ..Bounds::NOTHING })]
#[case::a_user(Bounds { user: 1, ..Bounds::NOTHING })]
#[case::a_crash(Bounds { crashes: 1, ..Bounds::NOTHING })]
#[case::trouble(Bounds { troubles: 1, ..Bounds::NOTHING })]
fn the_protocol_holds_for_restarts(
    #[case] bounds: Bounds,
    #[values(
        [Restart, Update(New)],
        [Update(New), Restart],
        [Restart, Restart],
    )]
    asks: [Ask; REQUESTS],
) {
    explore(bounds, asks);
}

#[rstest]
#[ignore = "it takes minutes"]
#[case::a_crash_and_a_user(Bounds { crashes: 1, user: 1, ..Bounds::NOTHING })]
#[ignore = "it takes minutes"]
#[case::a_crash_and_a_stall(Bounds { crashes: 1, stalls: 1, ..Bounds::NOTHING })]
#[ignore = "it takes minutes"]
#[case::a_stall_and_a_user(Bounds { stalls: 1, user: 1, ..Bounds::NOTHING })]
#[ignore = "it takes minutes"]
#[case::a_user_twice(Bounds { user: 2, ..Bounds::NOTHING })]
#[ignore = "it takes minutes"]
#[case::trouble_and_a_user(Bounds { troubles: 1, user: 1, ..Bounds::NOTHING })]
fn the_protocol_holds_in_larger_bounds(
    #[case] bounds: Bounds,
    #[values(
        [Update(New); REQUESTS],
        [Update(New), Update(Newer)],
        [Update(New), Restart],
        [Restart; REQUESTS],
    )]
    asks: [Ask; REQUESTS],
) {
    explore(bounds, asks);
}

fn explore(bounds: Bounds, asks: [Ask; REQUESTS]) {
    let started = Instant::now();
    let model = Halts::new(bounds, asks, None);
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    eprintln!("{asks:?}, {bounds:?}: {states} states, {depth} deep, in {:.1?}", started.elapsed());
    for (name, path) in checker.discoveries() {
        let counterexample = property::ALL.contains(&name);
        assert!(!counterexample, "{name}: {:?}", path.into_actions());
    }
}

#[rstest]
#[case(Breakage::NoAnswer, Bounds::NOTHING, property::ANSWERED)]
#[case(Breakage::NoAnswer, Bounds::NOTHING, property::ONE_WRITER)]
#[case(Breakage::NoFence, Bounds { crashes: 1, user: 1, ..Bounds::NOTHING }, property::ONE_WRITER)]
#[case(Breakage::NoMark, Bounds { user: 1, ..Bounds::NOTHING }, property::USERS_HALT)]
#[case(Breakage::NoBudget, Bounds { troubles: 1, ..Bounds::NOTHING }, property::ONE_AWAY)]
#[case(Breakage::NoConfirmation, Bounds { crashes: 1, stalls: 1, ..Bounds::NOTHING }, property::ONE_WRITER)]
fn without_a_part_of_it_it_does_not(
    #[case] breakage: Breakage,
    #[case] bounds: Bounds,
    #[case] property: &'static str,
) {
    let model = Halts::new(bounds, [Update(New); REQUESTS], Some(breakage));
    let found = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = model.checker().threads(2).finish_when(found).spawn_bfs().join();
    let actions = checker.assert_any_discovery(property).into_actions();
    eprintln!("{breakage:?}, found among {} states: {actions:?}", checker.unique_state_count());
}
