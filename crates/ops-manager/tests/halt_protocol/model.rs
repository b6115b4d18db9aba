//! The system as a model: possible events, and properties that must hold.

use std::collections::HashSet;
use std::sync::Mutex;

use api::ops_request::Phase;
use stateright::{Model, Property};

use crate::chance::{Fault, User, act, cache, cache_of, ended, faults, made, strike};
use crate::cluster::{Ask, Cluster, Is, Status, Version};
use crate::judge::{Breach, property};
use crate::shipped::Shipped;
use crate::state::State;
use crate::{Bounds, Breakage, REQUESTS, operators};

/// An event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    Manage(usize),
    Sweep,
    Provision,
    /// The controllers observe the template of a PetSet.
    Follow(usize),
    /// A pod that was being deleted is gone.
    End(usize),
    /// The controllers make a pod that does not exist.
    Make(usize),
    /// A new pod comes up, or crashes.
    Start(usize),
    /// A stale cache catches up.
    CatchUp(Operator),
    User(User),
    /// A write of a deposed leader arrives.
    Arrive(usize),
    Fault(Fault),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operator {
    Manager,
    Provisioner,
}

pub struct Halts {
    bounds: Bounds,
    asks: [Ask; REQUESTS],
    breakage: Option<Breakage>,
    shipped: Shipped,
    /// Hashes of states from which everything ends well.
    pub well: Mutex<HashSet<u64>>,
}

impl Halts {
    pub fn new(bounds: Bounds, asks: [Ask; REQUESTS], breakage: Option<Breakage>) -> Self {
        Self { bounds, asks, breakage, shipped: Shipped::new(asks, breakage), well: Mutex::default() }
    }

    /// The state after `action`, or `None` if it changes nothing.
    pub fn after(&self, before: &State, action: &Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Manage(request) => operators::manage(&mut state, *request, &self.shipped, self.breakage),
            Action::Sweep => operators::sweep(&mut state, &self.shipped, self.breakage),
            Action::Provision => operators::provision(&mut state, &self.shipped, self.breakage),
            Action::Follow(rack) => {
                let petset = state.cluster.petsets.get_mut(*rack)?;
                petset.followed = petset.template;
            }
            Action::End(pod) => ended(&mut state, *pod, Is::Leaving)?,
            Action::Make(pod) => made(&mut state, *pod)?,
            Action::Start(pod) => {
                let pod = state.cluster.pods.get_mut(*pod).filter(|pod| pod.is == Is::Starting)?;
                pod.is = if state.bad.contains(&pod.template.image) { Is::Broken } else { Is::Up };
            }
            Action::CatchUp(operator) => cache(&mut state, *operator).take().map(drop)?,
            Action::User(user) => act(&mut state, *user)?,
            Action::Arrive(write) => {
                let write = state.late.remove(*write);
                state.receive(&write, true, self.breakage);
            }
            Action::Fault(fault) => {
                strike(&mut state, *fault)?;
                if (State { left: before.left, ..state.clone() }) == *before {
                    return None;
                }
            }
        }
        state.normalise();
        (state != *before).then_some(state)
    }
}

/// Events that happen sooner or later, without faults or the user.
pub fn going_on(state: &State) -> Vec<Action> {
    let Cluster { petsets, pods, .. } = &state.cluster;
    let pods_that_are = |is: Is| (0..pods.len()).filter(move |pod| pods[*pod].is == is);
    let lags = |operator: &Operator| cache_of(state, *operator).is_some_and(|stale| !stale.standby);
    let mut actions: Vec<_> =
        [Operator::Manager, Operator::Provisioner].into_iter().filter(lags).map(Action::CatchUp).collect();
    actions.extend((0..REQUESTS).filter(|request| *request == 0 || state.another).map(Action::Manage));
    actions.extend([Action::Sweep, Action::Provision]);
    let behind = |rack: &usize| petsets[*rack].followed != petsets[*rack].template;
    actions.extend((0..petsets.len()).filter(behind).map(Action::Follow));
    actions.extend(pods_that_are(Is::Leaving).map(Action::End));
    actions.extend(pods_that_are(Is::Gone).map(Action::Make));
    actions.extend(pods_that_are(Is::Starting).map(Action::Start));
    actions
}

impl Model for Halts {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let state = |bad| {
            let mut state = State::new(self.bounds, bad, self.asks.contains(&Ask::Restart));
            // So that the provisioner has something to write when a part of the protocol is missing.
            if let Some(database) = &mut state.cluster.database {
                database.edited = self.breakage.is_some();
            }
            state
        };
        let mut bad = vec![vec![], vec![Version::New], vec![Version::Old, Version::New]];
        if self.asks.contains(&Ask::Update(Version::Newer)) {
            bad.push(vec![Version::Newer]);
        }
        bad.into_iter().map(state).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(going_on(state));
        actions.extend((0..state.late.len()).map(Action::Arrive));
        if state.left.user > 0 {
            let users =
                [User::Halt, User::Resume, User::Overrule, User::Edit, User::Delete, User::CreateAnother];
            actions.extend(users.into_iter().chain((0..REQUESTS).map(User::DeleteRequest)).map(Action::User));
        }
        faults(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        self.after(last, &action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn never(state: &State, breach: Breach) -> bool {
            !state.history.breaches.contains(&breach)
        }
        fn first(state: &State, is: fn(&Status) -> bool) -> bool {
            state.cluster.requests[0].as_ref().is_some_and(|request| is(&request.status))
        }
        vec![
            Property::always(property::KEPT_WORD, |_, s| never(s, Breach::WroteUnderHalt)),
            Property::always(property::ONE_WRITER, |_, s| never(s, Breach::TwoWriters)),
            Property::always(property::ANSWERED, |_, s| never(s, Breach::BeforeAnswer)),
            Property::always(property::HALTED, |_, s| never(s, Breach::WithoutHalt)),
            Property::always(property::USERS_HALT, |_, s| never(s, Breach::UsersHalt)),
            Property::always(property::TRUE_VERSION, |_, s| never(s, Breach::UntrueVersion)),
            Property::always(property::ALL_RENEWED, |_, s| never(s, Breach::NotRenewed)),
            Property::always(property::ONE_AT_A_TIME, |_, s| never(s, Breach::TwoUnderWay)),
            Property::always(property::ONE_AWAY, |_, s| never(s, Breach::TwoAway)),
            Property::always(property::HELD, |_, s| never(s, Breach::Template)),
            Property::always(property::ENDS, Self::ends_well),
            Property::sometimes("a request succeeds", |_, s| first(s, |it| it.phase == Phase::Successful)),
            Property::sometimes("a request fails", |_, s| {
                first(s, |it| it.phase == Phase::Failed && !it.stuck)
            }),
            Property::sometimes("a roll-back cannot finish", |_, s| first(s, |it| it.stuck)),
        ]
    }
}
