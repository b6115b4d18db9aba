use std::collections::BTreeMap;

use cassandra::{Gossip, Uuid};

use super::*;
use crate::checks::Checks;

fn health() -> Health {
    Health {
        sessions: Sessions::new(),
        states: RingStates::default(),
        queue: Queue::new(),
        turns: Turns::default(),
    }
}

fn target(address: Option<&str>) -> Target {
    let address = address.map(|address| address.parse().unwrap());
    Target {
        uid: "u".to_owned(),
        cluster: "db".to_owned(),
        cassandra: ObjectRef::new("db").within("ns"),
        pods: vec![PodSeen { name: "db-0".to_owned(), address, ready: true, ..PodSeen::default() }],
        credentials: None,
        threshold: 3,
        timeout: Duration::from_secs(1),
        write: true,
    }
}

async fn verdict(health: &Health, every: Duration) -> Verdict {
    loop {
        let checks = |checks: &Checks| (!checks.running).then(|| checks.verdict.clone()).flatten();
        if let Some(verdict) = health.states.with("u", |state| checks(&state.checks)) {
            return verdict;
        }
        health.look(target(None), Some(every));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn rounds_run_when_due_and_failures_are_counted() {
    const HOUR: Duration = Duration::from_hours(1);
    let health = health();
    assert_eq!(health.look(target(None), Some(HOUR)), None);
    let first = verdict(&health, HOUR).await;
    assert_eq!((first.silent, first.failed), (1, 1));
    assert_eq!(first.report.accepting, Err("pod db-0: it has no address yet".to_owned()));
    assert_eq!(health.look(target(None), Some(HOUR)), Some(first.clone()));
    assert_eq!(verdict(&health, HOUR).await, first, "nothing was due");
    health.look(target(None), None);
    assert_eq!(verdict(&health, HOUR).await.failed, 2);
}

#[tokio::test]
async fn a_ring_that_stays_silent_wakes_nobody_and_is_asked_less_often() {
    const PERIOD: Duration = Duration::from_hours(1);
    let health = health();
    let every = || health.states.with("u", |state| state.pace.every(false, PERIOD).as_secs());
    verdict(&health, PERIOD).await;
    assert_eq!(every(), 3);
    for _ in 0..6 {
        health.look(target(None), None);
        verdict(&health, PERIOD).await;
    }
    let last = verdict(&health, PERIOD).await;
    assert_eq!((last.silent, last.failed), (3, 3), "more failures than count are not told apart");
    assert_eq!(every(), 48);
}

#[tokio::test]
async fn a_check_that_panics_ends_in_a_verdict_and_the_next_one_runs() {
    const HOUR: Duration = Duration::from_hours(1);
    let health = health();
    let well = Verdict {
        report: Report { accepting: Ok(()), ready: Ok(()), host_ids: BTreeMap::new() },
        silent: 0,
        failed: 0,
    };
    health.states.with("u", |state| {
        state.checks.verdict = Some(well);
        state.checks.running = true;
    });
    health.round(&target(None), async { panic!("in the driver") }).await;
    let broken = verdict(&health, HOUR).await;
    assert!(broken.report.ready.unwrap_err().contains("the check itself failed"));
    health.look(target(None), None);
    assert_eq!(verdict(&health, HOUR).await.report.ready, Err("pod db-0: it has no address yet".to_owned()));
}

/// A ring does so when it has started over after the user accepted the loss of its data.
#[tokio::test]
async fn a_ring_that_refuses_the_login_is_settled_again() {
    let health = health();
    health.states.with("u", |state| state.set_up = true);
    health.round(&target(None), async { Round { refused: true, ..Round::broken() } }).await;
    assert!(!health.states.with("u", |state| state.set_up));
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_named_by_its_pod() {
    // Nothing listens on this local port.
    let round = Round::run(Sessions::new(), Arc::new(target(Some("127.0.0.1:1")))).await;
    let why = round.report.ready.unwrap_err();
    assert!(why.starts_with("pod db-0: ") && why.contains("127.0.0.1:1"), "{why}");
    assert!(!round.refused && !round.unwritable);
}

#[test]
fn a_long_list_of_problems_is_cut() {
    let problems: Vec<_> = (0..5).map(|n| format!("problem {n}")).collect();
    assert_eq!(listed(&problems), "problem 0; problem 1; problem 2; and 2 more");
    assert_eq!(listed(&problems[..1]), "problem 0");
}

#[test]
fn a_node_that_streams_is_well_and_one_that_leaves_is_not() {
    let view = |status: &str| View {
        address: "10.0.0.1".parse().unwrap(),
        host_id: Uuid::from_u128(1),
        release: "4.1.10".parse().unwrap(),
        schema: Uuid::from_u128(2),
        cluster: "db".to_owned(),
        datacenter: "dc1".to_owned(),
        rack: "a".to_owned(),
        bootstrapped: "COMPLETED".to_owned(),
        peers: vec![],
        gossip: Some(vec![Gossip {
            address: "10.0.0.1".parse().unwrap(),
            status: Some(status.to_owned()),
            generation: 1,
            heartbeat: 1,
            release: None,
            schema: None,
        }]),
        streaming: Some(2),
    };
    assert_eq!(ring_problems(1, "db", &[view("NORMAL")]), Vec::<String>::new());
    assert_eq!(ring_problems(1, "db", &[view("LEAVING")]).len(), 1);
    assert_eq!(
        ring_problems(1, "db.ns", &[view("NORMAL")]),
        ["node 10.0.0.1 is of cluster \"db\" and not of \"db.ns\": it belongs to another ring"]
    );
}
