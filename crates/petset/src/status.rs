//! The status of a PetSet: that of its StatefulSet, but with generations of the PetSet.

use api::PetSet;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};

/// The status to write. `current` says that the StatefulSet is as this generation of the PetSet wants it.
pub fn of(petset: &PetSet, stateful_set: &StatefulSet, current: bool) -> StatefulSetStatus {
    let status = stateful_set.status.clone().unwrap_or_default();
    // A StatefulSet that was replaced around its pods has not counted them yet.
    let uncounted = status.observed_generation.unwrap_or_default() == 0;
    if uncounted && let Some(before) = &petset.status {
        return before.clone();
    }
    let seen = status.observed_generation >= stateful_set.metadata.generation;
    let generation = petset.metadata.generation.unwrap_or_default();
    let observed_generation = if current && seen {
        Some(generation)
    } else {
        let before = petset.status.as_ref().and_then(|s| s.observed_generation);
        before.map(|before| before.min(generation - 1))
    };
    StatefulSetStatus { observed_generation, ..status }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn petset(generation: i64, observed: Option<i64>) -> PetSet {
        let mut petset = PetSet::default();
        petset.metadata.generation = Some(generation);
        petset.status = Some(StatefulSetStatus { observed_generation: observed, ..Default::default() });
        petset
    }

    fn stateful_set(generation: i64, observed: Option<i64>) -> StatefulSet {
        let mut stateful_set = StatefulSet::default();
        stateful_set.metadata.generation = Some(generation);
        stateful_set.status = Some(StatefulSetStatus {
            observed_generation: observed,
            replicas: 3,
            ready_replicas: Some(2),
            update_revision: Some("db-6".to_owned()),
            ..Default::default()
        });
        stateful_set
    }

    #[rstest]
    #[case::caught_up(petset(7, Some(6)), stateful_set(4, Some(4)), true, Some(7))]
    #[case::written_but_not_seen(petset(7, Some(6)), stateful_set(4, Some(3)), true, Some(6))]
    #[case::just_created(petset(1, None), stateful_set(1, None), true, None)]
    #[case::seen_but_not_written(petset(7, Some(6)), stateful_set(4, Some(4)), false, Some(6))]
    #[case::changed_under_the_same_generation(petset(7, Some(7)), stateful_set(5, Some(4)), true, Some(6))]
    fn the_generation_is_the_petsets_own(
        #[case] petset: PetSet,
        #[case] stateful_set: StatefulSet,
        #[case] current: bool,
        #[case] expected: Option<i64>,
    ) {
        assert_eq!(of(&petset, &stateful_set, current).observed_generation, expected);
    }

    #[test]
    fn all_else_is_the_stateful_sets() {
        let stateful_set = stateful_set(4, Some(4));
        let status = of(&petset(7, None), &stateful_set, true);
        let expected =
            StatefulSetStatus { observed_generation: Some(7), ..stateful_set.status.unwrap_or_default() };
        assert_eq!(status, expected);
    }
}
