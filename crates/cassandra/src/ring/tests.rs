use super::*;
use crate::Peer;

fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

fn host(n: u8) -> Uuid {
    Uuid::from_u128(u128::from(n))
}

/// A quiet ring of `count` nodes of one release, each knowing all others.
fn ring(count: u8) -> Vec<View> {
    let release = Version::new(4, 1, 10);
    let view = |n| View {
        address: address(n),
        host_id: host(n),
        release: release.clone(),
        schema: host(100),
        cluster: "test".into(),
        datacenter: "dc1".into(),
        rack: format!("r{n}"),
        bootstrapped: "COMPLETED".into(),
        peers: (1..=count).filter(|&peer| peer != n).map(peer).collect(),
        gossip: Some((1..=count).map(|n| gossip(n, "NORMAL")).collect()),
        streaming: Some(0),
    };
    (1..=count).map(view).collect()
}

fn peer(n: u8) -> Peer {
    Peer {
        address: address(n),
        host_id: Some(host(n)),
        release: Some(Version::new(4, 1, 10)),
        schema: Some(host(100)),
        rack: Some(format!("r{n}")),
        datacenter: Some("dc1".into()),
    }
}

fn gossip(n: u8, status: &str) -> Gossip {
    Gossip {
        address: address(n),
        status: Some(status.into()),
        generation: 1,
        heartbeat: 1,
        release: Some(Version::new(4, 1, 10)),
        schema: Some(host(100)),
    }
}

/// Node `n` runs 5.0 with the schema of 5.0, and all others know it.
fn update(views: &mut [View], n: u8) {
    let (release, schema) = (Version::new(5, 0, 6), host(200));
    for view in views {
        if view.host_id == host(n) {
            (view.release, view.schema) = (release.clone(), schema);
        }
        for peer in view.peers.iter_mut().filter(|peer| peer.host_id == Some(host(n))) {
            (peer.release, peer.schema) = (Some(release.clone()), Some(schema));
        }
    }
}

fn sentences(views: &[View]) -> Vec<String> {
    problems(3, views).iter().map(Problem::to_string).collect()
}

/// A change that makes a quiet ring differ.
type Change = fn(&mut Vec<View>);

fn gossips(view: &mut View) -> &mut Vec<Gossip> {
    view.gossip.get_or_insert_default()
}

#[test]
fn a_whole_and_quiet_ring_has_no_problem() {
    let cases: [(&str, Change); 6] = [
        ("all is well", |_| ()),
        ("one node is updated, with the schema of its release", |views| update(views, 1)),
        ("two nodes of the new release agree", |views| (1..=2).for_each(|n| update(views, n))),
        ("before 4.1 there is no gossip table", |views| {
            for view in views {
                (view.gossip, view.streaming) = (None, None);
            }
        }),
        ("gossip remembers an address that its node left", |views| {
            gossips(&mut views[0]).push(gossip(9, "SHUTDOWN"));
        }),
        ("gossip remembers a node that was removed", |views| gossips(&mut views[0]).push(gossip(9, "LEFT"))),
    ];
    for (case, change) in cases {
        let mut views = ring(3);
        change(&mut views);
        assert_eq!(problems(3, &views), [], "{case}");
    }
}

#[test]
fn each_problem_is_one_sentence_that_names_the_node() {
    let cases: [(&str, Change, &str); 12] = [
        ("a node does not answer", |views| views.truncate(2), "2 nodes answer where the ring should have 3"),
        (
            "the same node twice",
            |views| views[2] = views[1].clone(),
            "2 nodes answer where the ring should have 3",
        ),
        (
            "joining",
            |views| views[2].bootstrapped = "IN_PROGRESS".into(),
            "node 10.0.0.3 has not finished joining the ring (bootstrap: IN_PROGRESS)",
        ),
        ("streaming", |views| views[1].streaming = Some(2), "node 10.0.0.2 is streaming data"),
        ("unknown", |views| views[0].peers.truncate(1), "node 10.0.0.3 is not known to 10.0.0.1"),
        (
            "foreign",
            |views| views[0].peers.push(peer(9)),
            "node 10.0.0.1 still knows 10.0.0.9, which is not a node of this ring",
        ),
        (
            "an old address",
            |views| views[0].peers[1].address = address(9),
            "the current address of node 10.0.0.3 has not reached 10.0.0.1",
        ),
        (
            "an old release",
            |views| {
                update(views, 3);
                views[0].peers[1].release = Some(Version::new(4, 1, 10));
            },
            "the current release of node 10.0.0.3 has not reached 10.0.0.1",
        ),
        (
            "an old schema",
            |views| views[0].peers[1].schema = Some(host(99)),
            "the current schema of node 10.0.0.3 has not reached 10.0.0.1",
        ),
        (
            "down",
            |views| views[..2].iter_mut().for_each(|view| gossips(view)[2] = gossip(3, "SHUTDOWN")),
            "node 10.0.0.3 is SHUTDOWN in the eyes of 10.0.0.1, 10.0.0.2",
        ),
        (
            "joining and not yet a peer",
            |views| gossips(&mut views[0]).push(gossip(9, "BOOT")),
            "node 10.0.0.9 is BOOT in the eyes of 10.0.0.1",
        ),
        (
            "without a status",
            |views| gossips(&mut views[1])[0].status = None,
            "node 10.0.0.1 is UNKNOWN in the eyes of 10.0.0.2",
        ),
    ];
    for (case, change, sentence) in cases {
        let mut views = ring(3);
        change(&mut views);
        assert_eq!(sentences(&views), [sentence], "{case}");
    }
}

#[test]
fn disagreement_on_the_schema_names_who_holds_which() {
    let mut views = ring(3);
    views[2].schema = host(99);
    let expected = format!(
        "nodes of release 4.1.10 disagree on the schema: {} on 10.0.0.3; {} on 10.0.0.1, 10.0.0.2",
        host(99),
        host(100)
    );
    assert_eq!(sentences(&views).last(), Some(&expected));
}

#[test]
fn an_absent_node_is_not_called_foreign_by_those_that_know_it() {
    let mut views = ring(3);
    views.pop();
    assert_eq!(problems(3, &views), [Problem::Count { expected: 3, answered: 2 }]);
}
