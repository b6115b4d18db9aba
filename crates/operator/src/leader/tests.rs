use rstest::rstest;

use super::*;
use crate::testing::FakeApi;

const ME: &str = "me";

fn lease(holder: &str, seconds: Option<i32>) -> Lease {
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: seconds,
        ..LeaseSpec::default()
    };
    Lease { spec: Some(spec), ..Lease::default() }
}

#[rstest]
#[case::no_lease(None, 0, Decision::Create)]
#[case::released(Some(lease("", Some(15))), 0, Decision::Take)]
#[case::without_content(Some(Lease::default()), 0, Decision::Take)]
#[case::ours(Some(lease(ME, Some(15))), 0, Decision::Renew)]
#[case::ours_however_old(Some(lease(ME, Some(15))), 99, Decision::Renew)]
#[case::just_seen(Some(lease("other", Some(15))), 0, Decision::Follow)]
#[case::silent_but_not_long_enough(Some(lease("other", Some(15))), 14, Decision::Follow)]
#[case::silent_for_its_duration(Some(lease("other", Some(15))), 15, Decision::Take)]
#[case::its_own_duration_counts(Some(lease("other", Some(60))), 59, Decision::Follow)]
#[case::no_duration_means_ours(Some(lease("other", None)), 15, Decision::Take)]
#[case::nonsense_duration_means_ours(Some(lease("other", Some(-1))), 14, Decision::Follow)]
fn the_lease_is_taken_only_from_nobody_or_the_silent(
    #[case] lease: Option<Lease>,
    #[case] seconds: u64,
    #[case] decision: Decision,
) {
    let changed = Instant::now();
    let seen = lease.map(|lease| Seen { lease, changed });
    assert_eq!(decide(seen.as_ref(), ME, changed + Duration::from_secs(seconds)), decision);
}

#[test]
fn only_a_change_of_the_record_is_a_sign_of_life() {
    let first = Instant::now();
    let later = first + Duration::from_secs(9);
    let seen = Seen::update(None, lease("other", Some(15)), first);
    let same = Seen::update(Some(seen), lease("other", Some(15)), later);
    assert_eq!(same.changed, first);
    let mut renewed = lease("other", Some(15));
    // An old timestamp of a clock that runs late is a change like any other.
    renewed.spec.as_mut().unwrap().renew_time = Some(MicroTime("2001-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(Seen::update(Some(same), renewed, later).changed, later);
}

struct Replica {
    leader: Leader,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

fn replica(api: &FakeApi, me: &str) -> Replica {
    let leases = Api::namespaced(api.client(), "operators");
    let (elector, leader) = {
        let unknown = crate::probes::Health::new().waiting("the lease".to_owned());
        Elector::new(leases, "operator", me.to_owned(), Gauge::default(), unknown)
    };
    let stop = CancellationToken::new();
    Replica { leader, task: tokio::spawn(elector.run(stop.clone())), stop }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn holder(api: &FakeApi) -> (String, i32) {
    let spec = api.get::<Lease>("operators", "operator").and_then(|lease| lease.spec).unwrap();
    (spec.holder_identity.unwrap(), spec.lease_transitions.unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_second_replica_follows_and_takes_over_a_released_lease_at_once() {
    let api = FakeApi::new();
    let first = replica(&api, "first");
    first.leader.acquired().await;
    let second = replica(&api, "second");
    seconds(60).await;
    assert!(first.leader.is_leading() && !second.leader.is_leading());
    first.stop.cancel();
    first.task.await.unwrap().unwrap();
    assert!(!first.leader.is_leading());
    let released = Instant::now();
    second.leader.acquired().await;
    assert!(released.elapsed() <= RETRY);
    assert!(second.leader.since().unwrap() >= released, "what came before is not its own time");
    assert_eq!(holder(&api), ("second".to_owned(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_leader_stops_to_write_before_another_begins() {
    let api = FakeApi::new();
    let first = replica(&api, "first");
    first.leader.acquired().await;
    first.task.abort();
    let second = replica(&api, "second");
    seconds(11).await;
    assert!(!first.leader.is_leading() && !second.leader.is_leading());
    second.leader.acquired().await;
    assert_eq!(holder(&api), ("second".to_owned(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_ends_with_an_error() {
    let api = FakeApi::new();
    let first = replica(&api, "first");
    first.leader.acquired().await;
    api.fail_after(0);
    let error = first.task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("no renewal for 10 s"), "{error}");
    assert!(!first.leader.is_leading());
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_or_a_lost_answer_does_not_cost_the_lease() {
    let api = FakeApi::new();
    let first = replica(&api, "first");
    first.leader.acquired().await;
    api.fail_nth(1, 500);
    seconds(10).await;
    api.lose_answer(1);
    seconds(10).await;
    assert!(first.leader.is_leading());
    assert_eq!(holder(&api), ("first".to_owned(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_was_taken_ends_with_an_error() {
    let api = FakeApi::new();
    let first = replica(&api, "first");
    first.leader.acquired().await;
    api.change("operators", "operator", |lease: &mut Lease| {
        lease.spec.get_or_insert_default().holder_identity = Some("intruder".to_owned());
    });
    let error = first.task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("another replica"), "{error}");
    assert_eq!(holder(&api).0, "intruder");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_was_deleted_ends_too_because_another_may_have_made_a_new_one() {
    let api = FakeApi::new();
    let first = replica(&api, "first");
    first.leader.acquired().await;
    api.delete::<Lease>("operators", "operator");
    let error = first.task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("it was deleted"), "{error}");
}

#[test]
fn without_election_this_replica_always_leads() {
    assert!(Leader::always().is_leading());
}
