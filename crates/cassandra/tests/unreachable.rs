//! Nodes that cannot answer cost a bounded time, and the error says which node and why.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use cassandra::{Error, Sessions};

fn listener() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[tokio::test]
async fn a_closed_port_is_told_at_once() {
    let (listener, address) = listener().unwrap();
    drop(listener);
    let error = Sessions::new().node(address, None, Duration::from_secs(10)).await.err();
    let Some(Error::Unreachable { address: of, reason }) = error else {
        panic!("expected Unreachable, got {error:?}");
    };
    assert_eq!(of, address);
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_node_that_takes_connections_but_says_nothing_costs_the_timeout_and_no_more() {
    let (_open, address) = listener().unwrap();
    let (timeout, start) = (Duration::from_millis(200), Instant::now());
    let error = Sessions::new().node(address, None, timeout).await.err();
    assert_eq!(error, Some(Error::Timeout { address, doing: "connecting", after: timeout }));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn waiting_for_another_caller_counts() {
    let (_open, address) = listener().unwrap();
    let sessions = Sessions::new();
    let long = sessions.node(address, None, Duration::from_secs(2));
    let short = async {
        let start = Instant::now();
        let error = sessions.node(address, None, Duration::from_millis(200)).await.err();
        assert!(matches!(error, Some(Error::Timeout { .. })), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(1));
    };
    let (long, ()) = futures::join!(long, short);
    assert!(long.is_err());
}
