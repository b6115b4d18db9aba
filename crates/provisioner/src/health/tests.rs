use cassandra::{Gossip, Uuid};

use super::*;

fn health() -> Health {
    Health { sessions: Sessions::new(), memory: Memory::default(), queue: Queue::new() }
}

fn target(address: Option<&str>) -> Target {
    let address = address.map(|address| address.parse().unwrap());
    Target {
        uid: "u".to_owned(),
        cassandra: ObjectRef::new("db").within("ns"),
        pods: vec![PodSeen { name: "db-0".to_owned(), address, ready: true, trouble: None }],
        credentials: None,
        timeout: Duration::from_secs(1),
        write: true,
    }
}

async fn verdict(health: &Health, every: Duration) -> Verdict {
    loop {
        let checks = |checks: &Checks| (!checks.running).then(|| checks.verdict.clone()).flatten();
        if let Some(verdict) = health.memory.of("u", |known| checks(&known.checks)) {
            return verdict;
        }
        health.look(target(None), every);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn rounds_run_when_due_and_failures_are_counted() {
    const HOUR: Duration = Duration::from_hours(1);
    let health = health();
    assert_eq!(health.look(target(None), HOUR), None);
    let first = verdict(&health, HOUR).await;
    assert_eq!((first.silent, first.failed), (1, 1));
    assert_eq!(first.report.accepting, Err("pod db-0: it has no address yet".to_owned()));
    assert_eq!(health.look(target(None), HOUR), Some(first.clone()));
    assert_eq!(verdict(&health, HOUR).await, first, "nothing was due");
    health.look(target(None), Duration::ZERO);
    assert_eq!(verdict(&health, HOUR).await.failed, 2);
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_named_by_its_pod() {
    // Nobody listens on this port of the own host.
    let round = Round::run(&Sessions::new(), &target(Some("127.0.0.1:1"))).await;
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
    assert_eq!(ring_problems(1, &[view("NORMAL")]), Vec::<String>::new());
    assert_eq!(ring_problems(1, &[view("LEAVING")]).len(), 1);
}
