//! Events that the operators do not control: the user's actions and faults.

use std::mem;

use crate::cluster::{Database, Is, Object, Pod, Request};
use crate::model::{Action, Operator};
use crate::state::{Kind, Manager, Provisioner, Stale, State, Write};
use crate::{PODS_PER_RACK, REQUESTS};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum User {
    Halt,
    Resume,
    /// Lifts the halt of a request and leaves the mark, which the admission policy does not let a user change.
    Overrule,
    Edit,
    Delete,
    DeleteRequest(usize),
    CreateAnother,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The process ends, and the write that it was about to send is lost.
    Crash(Operator),
    /// The process loses the lease, and the write that it was about to send arrives later.
    Depose(Operator),
    /// The watch of one kind stops delivering, either the leader's or (`true`) that of the next leader.
    Stall(Operator, Kind, bool),
    /// The time limit of the step under way runs out.
    Timeout(usize),
    /// A pod fails by itself.
    Die(usize),
    /// From now on the API server refuses the ops-manager's writes to objects of this kind.
    Refuse(Kind),
}

/// The user's actions, if they are admitted.
pub fn act(state: &mut State, user: User) -> Option<()> {
    state.left.user = state.left.user.checked_sub(1)?;
    let halt = state.cluster.database.as_ref().map(|database| (database.halted, database.mark));
    let edit: fn(&mut Database) = match (user, halt?) {
        // With a mark, this would set the halt of that request again.
        (User::Halt, (false, None)) => {
            state.history.users_halt = true;
            |database| database.halted = true
        }
        (User::Resume, (true, None)) => |database| database.halted = false,
        (User::Overrule, (true, Some(_))) => {
            state.history.overruled = true;
            |database| database.halted = false
        }
        (User::Edit, _) => |database| database.edited = true,
        (User::Delete, _) => {
            state.history.overruled = true;
            |database| database.deleted = true
        }
        (User::DeleteRequest(number), _) => {
            let request = &mut state.cluster.requests[number];
            let there = request.as_mut().filter(|request| !request.deleted)?;
            there.deleted = true;
            if !there.finalizer {
                *request = None;
            }
            state.changed(Object::Request(number));
            return Some(());
        }
        (User::CreateAnother, _) if !state.another => {
            state.another = true;
            state.cluster.requests[1] = Some(Request::new());
            state.changed(Object::Request(1));
            return Some(());
        }
        _ => return None,
    };
    let before = state.cluster.clone();
    state.cluster.spec(edit);
    if before == state.cluster {
        return None;
    }
    state.changed(Object::Database);
    if matches!(user, User::Resume | User::Overrule) {
        state.lifted();
    }
    Some(())
}

pub fn strike(state: &mut State, fault: Fault) -> Option<()> {
    let left = &mut state.left;
    let budget = match fault {
        Fault::Crash(_) | Fault::Depose(_) => &mut left.crashes,
        Fault::Stall(..) => &mut left.stalls,
        Fault::Timeout(_) | Fault::Die(_) | Fault::Refuse(_) => &mut left.troubles,
    };
    *budget = budget.checked_sub(1)?;
    match fault {
        Fault::Crash(operator) => drop(fall(state, operator)),
        Fault::Depose(operator) => {
            let sent = fall(state, operator);
            if sent.is_empty() {
                return None;
            }
            state.late.extend(sent);
        }
        Fault::Stall(operator, kind, standby) => {
            let told = Stale::new(&state.cluster, kind, standby);
            let cache = cache(state, operator);
            if cache.is_some() {
                return None;
            }
            *cache = Some(told);
        }
        Fault::Timeout(request) => {
            let request = state.cluster.requests[request].as_mut().filter(|r| !r.status.phase.is_final())?;
            let (_, overdue, _) = request.status.clock.as_mut().filter(|(_, overdue, _)| !overdue)?;
            *overdue = true;
        }
        Fault::Die(pod) => {
            ended(state, pod, Is::Up)?;
        }
        Fault::Refuse(kind) => state.refused = Some(kind),
    }
    Some(())
}

/// A process ends and another one takes over. Returns the writes that were on their way.
fn fall(state: &mut State, operator: Operator) -> Vec<Write> {
    // The cache of a follower that takes over may be stale; a new process begins with a fresh list.
    let standby = cache(state, operator).take().filter(|stale| stale.standby);
    let cache = standby.map(|stale| Stale { standby: false, ..stale });
    match operator {
        Operator::Manager => {
            let manager = mem::replace(&mut state.manager, Manager { cache, ..Manager::default() });
            let sent = manager.workers.into_iter().flatten().filter_map(|work| work.change.or(work.report));
            sent.chain(manager.sweep).collect()
        }
        Operator::Provisioner => {
            let provisioner =
                mem::replace(&mut state.provisioner, Provisioner { cache, ..Provisioner::default() });
            provisioner.round.and_then(|round| round.write).into_iter().collect()
        }
    }
}

/// A pod that was like this does not exist any more.
pub fn ended(state: &mut State, pod: usize, was: Is) -> Option<()> {
    state.cluster.pods.get_mut(pod).filter(|pod| pod.is == was)?.is = Is::Gone;
    state.changed(Object::Pod(pod));
    Some(())
}

/// The controllers make the pod that does not exist.
pub fn made(state: &mut State, pod: usize) -> Option<()> {
    let template = state.cluster.petsets.get(pod / PODS_PER_RACK)?.followed;
    let there = state.cluster.pods.get_mut(pod).filter(|pod| pod.is == Is::Gone)?;
    *there = Pod { template, is: Is::Starting, uid: there.uid + u8::from(state.counted) };
    state.changed(Object::Pod(pod));
    Some(())
}

pub fn faults(state: &State, actions: &mut Vec<Action>) {
    let left = state.left;
    let mut all = Vec::new();
    for operator in [Operator::Manager, Operator::Provisioner] {
        if left.crashes > 0 {
            all.extend([Fault::Crash(operator), Fault::Depose(operator)]);
        }
        let kinds: &[Kind] = match operator {
            Operator::Manager => &[Kind::Database, Kind::Requests, Kind::PetSets, Kind::Pods],
            Operator::Provisioner => &[Kind::Database, Kind::PetSets],
        };
        if left.stalls > 0 && cache_of(state, operator).is_none() {
            all.extend(kinds.iter().map(|kind| Fault::Stall(operator, *kind, false)));
            // A stale cache of a follower matters only if that follower can become the leader.
            let standby = kinds.iter().filter(|_| left.crashes > 0);
            all.extend(standby.map(|kind| Fault::Stall(operator, *kind, true)));
        }
    }
    if left.troubles > 0 {
        all.extend((0..REQUESTS).map(Fault::Timeout));
        all.extend((0..state.cluster.pods.len()).map(Fault::Die));
        if state.refused.is_none() {
            all.extend([Kind::PetSets, Kind::Pods].map(Fault::Refuse));
        }
    }
    actions.extend(all.into_iter().map(Action::Fault));
}

pub fn cache_of(state: &State, operator: Operator) -> Option<&Stale> {
    match operator {
        Operator::Manager => state.manager.cache.as_ref(),
        Operator::Provisioner => state.provisioner.cache.as_ref(),
    }
}

pub fn cache(state: &mut State, operator: Operator) -> &mut Option<Stale> {
    match operator {
        Operator::Manager => &mut state.manager.cache,
        Operator::Provisioner => &mut state.provisioner.cache,
    }
}
