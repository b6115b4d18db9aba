//! Finds nodes that were down for longer than the others store hints for them, and so may have missed writes.

use api::condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Type of the condition.
pub(super) const REPAIR_NEEDED: &str = "RepairNeeded";

/// Cassandra's `max_hint_window`, where nothing else is set.
const HINTS: SignedDuration = SignedDuration::from_hours(3);

/// A message about those of these pods that need a repair; `None` if none does. `running` is the prefix of the conditions
/// about pods that come back.
pub(super) fn repair<'a>(
    conditions: &[Condition],
    running: &str,
    pods: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let missed = pods.into_iter().filter_map(|pod| {
        let away = longest(conditions, running, pod).filter(|away| *away > HINTS)?;
        Some(format!("pod {pod} was away for {} minutes", away.as_mins()))
    });
    let missed = missed.collect::<Vec<_>>();
    (!missed.is_empty()).then(|| {
        format!(
            "{}: longer than the other nodes keep hints for a node (max_hint_window, 180 minutes unless it is set), so it may have \
             missed writes. Run `nodetool repair --full` in it",
            missed.join(", ")
        )
    })
}

/// The longest time from an eviction of a pod until it was Ready again. A pod that never came back on the way forward was down until
/// it was Ready on the source.
fn longest(conditions: &[Condition], running: &str, pod: &str) -> Option<SignedDuration> {
    let time = |step: &str| -> Option<Timestamp> {
        let told = condition::get(conditions, &format!("{step}--{pod}"))?;
        (told.status == "True").then_some(told.last_transition_time.0)
    };
    let [left, came] = ["EvictPod", running].map(time);
    let [left_again, came_back] = ["RollBackEvictPod", &format!("RollBack{running}")].map(time);
    let back_from = if came.is_some() { left_again } else { left.or(left_again) };
    let away = |from: Option<Timestamp>, to: Option<Timestamp>| Some(to?.duration_since(from?));
    away(left, came).max(away(back_from, came_back))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::soon(&[("EvictPod", 0), ("RunningPod", 1)], None)]
    #[case::late(&[("EvictPod", 0), ("RunningPod", 200)], Some(200))]
    #[case::late_on_the_way_back(&[("EvictPod", 0), ("RunningPod", 1), ("RollBackEvictPod", 300), ("RollBackRunningPod", 500)], Some(200))]
    #[case::soon_both_times(&[("EvictPod", 0), ("RunningPod", 1), ("RollBackEvictPod", 300), ("RollBackRunningPod", 301)], None)]
    #[case::never_on_the_target(&[("EvictPod", 0), ("RollBackEvictPod", 190), ("RollBackRunningPod", 191)], Some(191))]
    #[case::not_back(&[("EvictPod", 0)], None)]
    fn a_node_is_repaired_that_was_away_for_longer_than_hints_are_kept(
        #[case] told: &[(&str, i64)],
        #[case] minutes: Option<i64>,
    ) {
        let condition = |(step, minute): &(&str, i64)| {
            let time = Timestamp::from_second(minute * 60).unwrap().to_string();
            let condition = serde_json::json!({
                "type": format!("{step}--a-0"), "status": "True", "reason": step, "message": "", "lastTransitionTime": time,
            });
            serde_json::from_value::<Condition>(condition).unwrap()
        };
        let conditions: Vec<_> = told.iter().map(condition).collect();
        let said = repair(&conditions, "RunningPod", ["a-0", "b-0"]).unwrap_or_default();
        let expected =
            minutes.map(|minutes| format!("pod a-0 was away for {minutes} minutes: ")).unwrap_or_default();
        assert!(said.starts_with(&expected) && said.is_empty() == minutes.is_none(), "{said}");
    }
}
