//! The two operators, one request to the API server at a time. The shipped code makes their decisions.

use crate::cluster::{Change, Cluster, Database, Object, Request, Told};
use crate::shipped::{Question, Shipped, Verdict};
use crate::state::{Asking, Round, State, Work, Write};
use crate::{Breakage, RACKS};

/// The ops-manager takes a request one call further. Its own writes do not make its work outdated, because it continues with the
/// object that the API server returned.
pub fn manage(state: &mut State, request: usize, shipped: &Shipped, breakage: Option<Breakage>) {
    let Some(mut work) = state.manager.workers[request].take() else {
        if confirm(state, request) {
            state.manager.workers[request] = decide(state, request, shipped);
        }
        return;
    };
    if let Some(before) = work.asking.take() {
        state.manager.workers[request] = conclude(state, request, &before, shipped);
        return;
    }
    if let Some(change) = work.change.take() {
        if !state.receive(&change, false, breakage) {
            return;
        }
    } else if let Some(report) = work.report.take() {
        state.receive(&report, false, breakage);
    }
    state.manager.workers[request] = Some(work).filter(|work| work.report.is_some());
}

/// A request that has begun is confirmed with the API server first, once.
fn confirm(state: &mut State, request: usize) -> bool {
    let view = state.view(state.manager.cache.as_ref());
    let begun = |request: &Request| request.status.record.is_some();
    if !state.manager.confirmed[request] && view.cluster.requests[request].as_ref().is_some_and(begun) {
        state.manager.confirmed[request] = view.is_current(Object::Request(request));
        return state.manager.confirmed[request];
    }
    true
}

fn decide(state: &State, request: usize, shipped: &Shipped) -> Option<Work> {
    let view = state.view(state.manager.cache.as_ref());
    let verdict = shipped.next(question(state, request, view.cluster.clone()));
    if verdict.asks {
        let outdated = Object::all().filter(|object| !view.is_current(*object)).collect();
        let asking = Some(Asking { seen: view.cluster, outdated });
        return Some(Work { asking, ..Work::default() });
    }
    work(request, &view.cluster, verdict, |object| view.is_current(object))
}

/// The nodes have answered. Only whose turn it is has been looked at again.
fn conclude(state: &State, request: usize, before: &Asking, shipped: &Shipped) -> Option<Work> {
    let later = Some(state.view(state.manager.cache.as_ref()).cluster.requests);
    let verdict = shipped.next(Question { later, ..question(state, request, before.seen.clone()) });
    work(request, &before.seen, verdict, |object| !before.outdated.contains(&object))
}

fn question(state: &State, request: usize, seen: Cluster) -> Question {
    let (nodes, refused) = (state.cluster.pods.clone(), state.refused);
    Question { request, seen, nodes, refused, later: None }
}

fn work(
    request: usize,
    seen: &Cluster,
    verdict: Verdict,
    is_current: impl Fn(Object) -> bool,
) -> Option<Work> {
    if !verdict.confirms.iter().copied().all(&is_current) {
        return None;
    }
    let reported = &seen.requests[request].as_ref()?.status;
    let write = |change: Change| {
        let current = is_current(change.object());
        Write { change, of: Some(request), current }
    };
    let change = verdict.change.map(write);
    let report = verdict.status.filter(|status| status != reported);
    let report = report.map(|status| write(Change::Report(request, status)));
    (change.is_some() || report.is_some()).then_some(Work { asking: None, change, report })
}

/// The ops-manager removes a halt or a mark without a request.
pub fn sweep(state: &mut State, shipped: &Shipped, breakage: Option<Breakage>) {
    if let Some(write) = state.manager.sweep.take() {
        state.receive(&write, false, breakage);
        return;
    }
    let view = state.view(state.manager.cache.as_ref());
    // Before the write, it lists the requests from the API server.
    let requests = state.cluster.requests.clone();
    if shipped.is_orphan(&view.cluster) && shipped.is_orphan(&Cluster { requests, ..view.cluster.clone() }) {
        let current = view.is_current(Object::Database);
        state.manager.sweep = Some(Write { change: Change::Resume, of: None, current });
    }
}

/// The provisioner takes its reconcile one call further.
pub fn provision(state: &mut State, shipped: &Shipped, breakage: Option<Breakage>) {
    let Some(mut round) = state.provisioner.round.take() else {
        state.provisioner.round = begin(state, shipped);
        return;
    };
    if let Some(write) = round.write.take() {
        let accepted = state.receive(&write, false, breakage);
        match write.change {
            _ if !accepted => return,
            Change::Tell(told) if round.rack == 0 => round.database.told = told,
            Change::Apply(..) => {}
            // That was the last write of a reconcile.
            _ => return,
        }
    } else if round.rack < RACKS && shipped.may_write(&round.database) {
        round.write = apply(state, &round);
        round.rack += 1;
    } else {
        round.rack = RACKS;
        let mut told = round.database.told.clone();
        told.observed = round.database.generation;
        // Status writes during a halt only conflict with those of the ops-manager, and its answers do that already.
        if shipped.may_write(&round.database) {
            told.ready = state.cluster.whole();
        }
        if told == round.database.told {
            return;
        }
        round.write = Some(Write { change: Change::Tell(told), of: None, current: round.current });
    }
    state.provisioner.round = Some(round);
}

fn begin(state: &mut State, shipped: &Shipped) -> Option<Round> {
    let view = state.view(state.provisioner.cache.as_ref());
    let database = view.cluster.database.clone()?;
    let current = view.is_current(Object::Database);
    let write = |change: Change| Some(Write { change, of: None, current });
    let round = |database: Database, write| Some(Round { database, current, rack: 0, write });
    if database.deleted {
        let gone = state.cluster.petsets.is_empty();
        let mut last = round(database, write(if gone { Change::LetGo } else { Change::Dismantle }))?;
        last.rack = RACKS;
        return Some(last);
    }
    if state.provisioner.confirmed != Some(database.generation) {
        if !shipped.is_newest(&database, state.cluster.database.as_ref()) {
            return None;
        }
        state.provisioner.confirmed = Some(database.generation);
    }
    let paused = shipped.answer(&database).or(database.told.paused);
    let answer =
        (paused != database.told.paused).then(|| Change::Tell(Told { paused, ..database.told.clone() }));
    round(database, answer.and_then(write))
}

/// Applies the next PetSet, if it differs from what the reconcile wants. A ring in use keeps its template.
fn apply(state: &State, round: &Round) -> Option<Write> {
    let view = state.view(state.provisioner.cache.as_ref());
    let petset = view.cluster.petsets.get(round.rack)?;
    let edited = round.database.edited;
    let current = view.is_current(Object::PetSet(round.rack));
    (petset.edited != edited).then_some(Write {
        change: Change::Apply(round.rack, petset.template, edited),
        of: None,
        current,
    })
}
