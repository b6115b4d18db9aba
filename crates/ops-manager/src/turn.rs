//! Decides whose turn it is: requests for one Cassandra run strictly one after the other.

use std::cmp::Ordering;

use api::CassandraOpsRequest;
use api::ops_request::Phase;
use kube::ResourceExt;

/// Position of a request among the others for the same Cassandra.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Turn {
    /// It may run.
    #[default]
    Now,
    /// It waits for this request to finish.
    After(String),
    /// A newer request of the same type replaces it.
    Superseded(String),
}

/// The turn of `request` among `all` requests of its namespace (which may include itself).
///
/// A running request goes first. Two may begin at the same moment, since each saw a free turn: then the one that halts first goes
/// first, and the other one, which has changed nothing yet, waits for its end.
///
/// Of several pending ones of a type only the newest runs (KubeDB's rule; if two are equally old, the first by name counts as
/// newer); of the remaining ones, the oldest goes first. A request that is not `valid` will be denied, so it replaces no other.
pub fn among<'a>(
    request: &CassandraOpsRequest,
    all: impl Iterator<Item = &'a CassandraOpsRequest> + Clone,
    valid: impl Fn(&CassandraOpsRequest) -> bool,
) -> Turn {
    let others = all.filter(|other| competes(request, other));
    let begun = request.phase() == Phase::Progressing;
    if begun && request.has_halted() {
        return Turn::Now;
    }
    let mut running = others.clone().filter(|other| other.phase() == Phase::Progressing);
    if begun {
        let first = running.find(|other| other.has_halted());
        return first.map_or(Turn::Now, |first| Turn::After(first.name_any()));
    }
    if let Some(running) = running.next() {
        return Turn::After(running.name_any());
    }
    let waiting = others.filter(|other| other.metadata.deletion_timestamp.is_none() && valid(other));
    let newest_of_type = |one: &CassandraOpsRequest| {
        let rivals = waiting.clone().filter(|other| other.spec.type_ == one.spec.type_);
        rivals.max_by(|a, b| age(a, b)).filter(|rival| age(rival, one) == Ordering::Greater)
    };
    if let Some(newer) = newest_of_type(request) {
        return Turn::Superseded(newer.name_any());
    }
    let survivors = waiting
        .clone()
        .filter(|other| other.spec.type_ != request.spec.type_ && newest_of_type(other).is_none());
    match survivors.min_by(|a, b| age(a, b)) {
        Some(first) if age(first, request) == Ordering::Less => Turn::After(first.name_any()),
        _ => Turn::Now,
    }
}

/// UIDs of the other requests for the same Cassandra that are not finished.
pub fn unfinished<'a>(
    request: &CassandraOpsRequest,
    all: impl Iterator<Item = &'a CassandraOpsRequest>,
) -> Vec<String> {
    all.filter(|other| competes(request, other)).filter_map(ResourceExt::uid).collect()
}

/// Whether `other` is another request for the same Cassandra that is not finished.
pub(crate) fn competes(request: &CassandraOpsRequest, other: &CassandraOpsRequest) -> bool {
    other.uid() != request.uid()
        && other.spec.database_ref == request.spec.database_ref
        && !other.phase().is_final()
}

/// Greater is newer.
fn age(a: &CassandraOpsRequest, b: &CassandraOpsRequest) -> Ordering {
    let created = |r: &CassandraOpsRequest| r.metadata.creation_timestamp.clone();
    created(a).cmp(&created(b)).then_with(|| b.name_any().cmp(&a.name_any()))
}

#[cfg(test)]
mod tests {
    use api::condition::{self, Statement};
    use api::ops_request::{CassandraOpsRequestStatus, DatabaseRef, PAUSE};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use rstest::rstest;

    use super::*;

    fn request(name: &str, created: i64, phase: Phase) -> CassandraOpsRequest {
        let mut request = CassandraOpsRequest::new(name, api::CassandraOpsRequestSpec::default());
        request.metadata.uid = Some(name.to_owned());
        request.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
        request.spec.database_ref = DatabaseRef { name: "db".to_owned() };
        request.status = Some(CassandraOpsRequestStatus { phase: Some(phase), ..Default::default() });
        request
    }

    fn turns(requests: &[CassandraOpsRequest]) -> Vec<Turn> {
        requests.iter().map(|r| among(r, requests.iter(), |_| true)).collect()
    }

    #[test]
    fn a_request_that_will_be_refused_takes_nobody_s_place() {
        let requests = [request("good", 1, Phase::Pending), request("bad", 2, Phase::Pending)];
        let valid = |request: &CassandraOpsRequest| request.name_any() != "bad";
        let turns = requests.each_ref().map(|r| among(r, requests.iter(), valid));
        assert_eq!(turns, [Turn::Now, Turn::Now]);
    }

    #[test]
    fn of_several_pending_requests_only_the_newest_runs() {
        let requests = [("a", 1), ("b", 2), ("c", 3)].map(|(name, at)| request(name, at, Phase::Pending));
        let superseded = Turn::Superseded("c".to_owned());
        assert_eq!(turns(&requests), [superseded.clone(), superseded, Turn::Now]);
    }

    #[test]
    fn exactly_one_of_two_equally_old_requests_runs() {
        let requests = [request("b", 1, Phase::Pending), request("a", 1, Phase::Pending)];
        assert_eq!(turns(&requests), [Turn::Superseded("a".to_owned()), Turn::Now]);
    }

    #[test]
    fn of_two_that_began_at_once_the_one_that_has_halted_goes_first() {
        let mut requests = [request("a", 1, Phase::Progressing), request("b", 2, Phase::Progressing)];
        assert_eq!(turns(&requests), [Turn::Now, Turn::Now]);
        let [type_, reason, message] = [PAUSE, "Paused", ""].map(str::to_owned);
        let halt = Statement { type_, status: true, reason, message, generation: None };
        let status = requests[1].status.as_mut().unwrap();
        condition::set(&mut status.conditions, halt, &Time(Timestamp::UNIX_EPOCH));
        assert_eq!(turns(&requests), [Turn::After("b".to_owned()), Turn::Now]);
    }

    #[test]
    fn nothing_is_skipped_while_one_runs() {
        let requests = [
            request("a", 1, Phase::Progressing),
            request("b", 2, Phase::Pending),
            request("c", 3, Phase::Pending),
        ];
        let after = Turn::After("a".to_owned());
        assert_eq!(turns(&requests), [Turn::Now, after.clone(), after]);
    }

    #[rstest]
    fn a_corrected_request_runs_at_once_whatever_became_of_the_wrong_one(
        #[values(Phase::Pending, Phase::Denied, Phase::Failed, Phase::Skipped)] wrong: Phase,
        #[values(1, 2)] created: i64,
    ) {
        let requests = [request("z-wrong", 1, wrong), request("corrected", created, Phase::Pending)];
        assert_eq!(turns(&requests)[1], Turn::Now);
    }

    #[test]
    fn a_finished_request_and_one_of_another_cassandra_do_not_count() {
        let mut foreign = request("c", 3, Phase::Progressing);
        foreign.spec.database_ref.name = "other".to_owned();
        let requests = [request("a", 1, Phase::Pending), request("b", 2, Phase::Denied), foreign];
        assert_eq!(turns(&requests)[0], Turn::Now);
    }
}
