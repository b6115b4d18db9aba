//! Checks that every state leads to a good end once faults stop.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;
use std::sync::PoisonError;

use crate::Bounds;
use crate::cluster::Version;
use crate::model::{Halts, going_on};
use crate::state::State;

impl Halts {
    /// Whether all ends well if from here on there are no faults, the user does nothing, and time passes.
    pub fn ends_well(&self, from: &State) -> bool {
        let mut state = State { late: vec![], left: Bounds::NOTHING, ..from.clone() };
        let mut seen = HashSet::new();
        loop {
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            let known = self.well.lock().unwrap_or_else(PoisonError::into_inner).contains(&hasher.finish());
            // A state that repeats makes no progress: let time pass, as if nothing had changed.
            let moves = !known && seen.insert(hasher.finish()) && self.round(&mut state);
            if known || !(moves || time_passes(&mut state)) {
                let well = known || is_good_end(&state);
                if well {
                    self.well.lock().unwrap_or_else(PoisonError::into_inner).extend(seen);
                }
                return well;
            }
        }
    }

    /// Lets everybody act once. Returns whether anything has changed.
    fn round(&self, state: &mut State) -> bool {
        let mut moved = false;
        for action in going_on(state) {
            if let Some(next) = self.after(state, &action) {
                *state = next;
                moved = true;
            }
        }
        moved
    }
}

/// Lets all time limits run out. Returns whether there were any.
fn time_passes(state: &mut State) -> bool {
    let requests = state.cluster.requests.iter_mut().flatten();
    let clocks = requests.filter(|r| !r.status.phase.is_final()).filter_map(|r| r.status.clock.as_mut());
    clocks.fold(false, |passed, (_, overdue, _)| !mem::replace(overdue, true) || passed)
}

/// Whether a state in which nothing happens any more is as it should be.
fn is_good_end(state: &State) -> bool {
    let Some(database) = &state.cluster.database else { return state.running().next().is_none() };
    if database.halted {
        return match database.mark {
            None => state.history.users_halt,
            // Kept by a request that reports it.
            Some(request) => {
                state.cluster.requests[request].as_ref().is_some_and(|request| request.status.stuck)
            }
        };
    }
    let pausing = database.told.paused.is_some_and(|(paused, _)| paused);
    let template =
        |version: Version| state.cluster.petsets.iter().all(|petset| petset.template.image == version);
    let tidy = !pausing && database.mark.is_none();
    tidy && state.running().next().is_none() && template(database.version)
}
