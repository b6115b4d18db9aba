//! Replaces generations by the smallest numbers in the same order.

use std::collections::BTreeSet;

use crate::cluster::Change;
use crate::state::State;

impl State {
    /// Generations are only compared with each other, so the smallest numbers in the same order are equivalent. With them, states
    /// that differ only in the number of past rounds are one state.
    pub fn normalise(&mut self) {
        let mut places: Vec<&mut u8> = Vec::new();
        let mut told = Vec::new();
        let round = self.provisioner.round.as_mut();
        let (round, write) =
            round.map_or((None, None), |round| (Some(&mut round.database), round.write.as_mut()));
        let stale = [&mut self.manager.cache, &mut self.provisioner.cache].into_iter().flatten();
        let works = self.manager.workers.iter_mut().flatten();
        let asking = works.filter_map(|work| work.asking.as_mut());
        let databases = self
            .cluster
            .database
            .iter_mut()
            .chain(round)
            .chain(stale.filter_map(|s| s.told.database.as_mut()))
            .chain(asking.filter_map(|asking| asking.seen.database.as_mut()));
        for database in databases {
            places.push(&mut database.generation);
            told.push(&mut database.told);
        }
        let writes = self.late.iter_mut().chain(write);
        told.extend(
            writes.filter_map(
                |write| if let Change::Tell(told) = &mut write.change { Some(told) } else { None },
            ),
        );
        for told in told {
            places.push(&mut told.observed);
            places.extend(told.paused.as_mut().map(|(_, generation)| generation));
        }
        places.extend(&mut self.provisioner.confirmed);
        let ranks: Vec<u8> =
            places.iter().map(|place| **place).collect::<BTreeSet<_>>().into_iter().collect();
        for place in places {
            let rank = ranks.iter().position(|one| one == place).unwrap_or_default();
            *place = u8::try_from(rank + 1).expect("there are few");
        }
    }
}
