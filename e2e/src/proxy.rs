//! A reverse proxy between one operator and the API server. It numbers the operator's writes, and fails as networks and API
//! servers do at the worst moment. So the operators under test are the released binaries, without a line for tests.
//!
//! The operator talks to it without any login; the proxy logs in as the operator's own ServiceAccount.

mod write;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::StreamExt;
use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use kube::{Client, Config};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

pub use write::Write;

/// What goes wrong. A write of the lease is treated like a read: no cut happens at it.
#[derive(Clone, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// At the first selected write the proxy becomes [`Fault::Silent`] and reports the write by [`Proxy::cut`].
    Cut(When, Select),
    /// No request is forwarded, none is answered, and no watch delivers anything.
    Silent,
    /// This percentage of the requests, leases and watches included, is refused or remains without a response.
    Noise(u32),
}

/// Which write to cut at.
pub type Select = Arc<dyn Fn(&Write) -> bool + Send + Sync>;

/// On which side of the API server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum When {
    /// The write never reaches the server.
    Before,
    /// The write is done, but the operator gets no response as long as the proxy is silent.
    After,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Fate {
    forwarded: bool,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Passes,
    /// The response comes when the proxy is no longer silent.
    Late,
    Never,
    Is(u16),
}

/// A running proxy.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    cuts: Receiver<Write>,
    runtime: Option<Runtime>,
}

struct Shared {
    upstream: Client,
    fault: watch::Sender<Fault>,
    writes: Mutex<Vec<Write>>,
    dice: Mutex<StdRng>,
    cut: Sender<Write>,
}

impl Proxy {
    /// Serves on a free port of the loopback device. `seed` makes noise repeatable.
    pub fn start(upstream: Config, seed: u64) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (cut, cuts) = channel();
        let (address, shared) = runtime.block_on(async {
            let shared = Arc::new(Shared {
                upstream: client(upstream)?,
                fault: watch::Sender::new(Fault::None),
                writes: Mutex::default(),
                dice: Mutex::new(StdRng::seed_from_u64(seed)),
                cut,
            });
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
            tokio::spawn(async move { axum::serve(listener, router).await });
            anyhow::Ok((address, shared))
        })?;
        Ok(Self { address, shared, cuts, runtime: Some(runtime) })
    }

    /// Where the operator finds it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces the fault. An earlier cut that nobody has waited for is forgotten.
    pub fn set(&self, fault: Fault) {
        self.shared.fault.send_replace(fault);
        while self.cuts.try_recv().is_ok() {}
    }

    /// Waits for the next cut, for `patience` at most; returns the write.
    pub fn cut(&self, patience: Duration) -> Option<Write> {
        self.cuts.recv_timeout(patience).ok()
    }

    /// How many writes there were since the start, without those of the lease.
    pub fn count(&self) -> usize {
        lock(&self.shared.writes).len()
    }

    /// The writes after the first `count`.
    pub fn writes_after(&self, count: usize) -> Vec<Write> {
        lock(&self.shared.writes).get(count..).unwrap_or_default().to_vec()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Without retries and timeouts: those are for the operator to decide.
fn client(mut upstream: Config) -> Result<Client> {
    upstream.default_retry = false;
    upstream.read_timeout = None;
    upstream.write_timeout = None;
    Client::try_from(upstream).context("the proxy cannot connect to the API server")
}

/// In a task of its own: the server drops this future when the operator is gone, and a cut must not get lost with it.
async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    tokio::spawn(pass(shared, request)).await.unwrap_or_else(|_| refusal(500))
}

async fn pass(shared: Arc<Shared>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else { return refusal(400) };
    let write = Write::of(&parts, &body).map(|write| shared.number(write));
    let (fate, cut) = shared.fate(write.as_ref());
    parts.headers.remove(HOST);
    let mut answer = None;
    if fate.forwarded {
        let sent = shared.upstream.send(Request::from_parts(parts, body.into())).await;
        let response = sent.map_or_else(|_| refusal(502), |response| response.map(Body::new));
        if let Some(write) = &write {
            shared.answered(write.number, response.status());
        }
        answer = Some(response);
    }
    if let (Some(write), true, true) = (write, cut, shared.is_silent()) {
        // Sending fails when the harness is about to end and nobody listens any more.
        _ = shared.cut.send(write);
    }
    match (fate.answer, answer) {
        (Answer::Passes, Some(response)) => shared.flow(response),
        (Answer::Late, Some(response)) => {
            shared.spoken().await;
            shared.flow(response)
        }
        (Answer::Is(code), _) => refusal(code),
        _ => std::future::pending().await,
    }
}

impl Shared {
    fn number(&self, mut write: Write) -> Write {
        let mut writes = lock(&self.writes);
        write.number = writes.len() + 1;
        writes.push(write.clone());
        write
    }

    fn answered(&self, number: usize, status: StatusCode) {
        if let Some(write) = lock(&self.writes).get_mut(number - 1) {
            write.status = Some(status.as_u16());
        }
    }

    /// What becomes of a request, and whether it is the one to cut at.
    fn fate(&self, write: Option<&Write>) -> (Fate, bool) {
        let mut decided = (Fate { forwarded: true, answer: Answer::Passes }, false);
        self.fault.send_if_modified(|fault| {
            match (&*fault, write) {
                (Fault::Silent, _) => decided.0 = Fate { forwarded: false, answer: Answer::Never },
                (Fault::Cut(when, select), Some(write)) if select(write) => {
                    let late = Fate { forwarded: true, answer: Answer::Late };
                    let lost = Fate { forwarded: false, answer: Answer::Never };
                    decided = (if *when == When::After { late } else { lost }, true);
                    *fault = Fault::Silent;
                }
                (Fault::Noise(rate), write) => decided.0 = self.throw(*rate, write.is_some()),
                (Fault::None | Fault::Cut(..), _) => {}
            }
            decided.1
        });
        decided
    }

    /// As real servers do it: only a write gets a conflict, and a request that was refused with 429 was never carried out.
    fn throw(&self, rate: u32, write: bool) -> Fate {
        let mut dice = lock(&self.dice);
        if !dice.random_ratio(rate.min(100), 100) {
            return Fate { forwarded: true, answer: Answer::Passes };
        }
        let forwarded = dice.random();
        match dice.random_range(0..4) {
            0 if write => Fate { forwarded: false, answer: Answer::Is(409) },
            0 | 1 => Fate { forwarded: false, answer: Answer::Is(429) },
            2 => Fate { forwarded, answer: Answer::Is(500) },
            _ => Fate { forwarded, answer: Answer::Never },
        }
    }

    fn is_silent(&self) -> bool {
        matches!(*self.fault.borrow(), Fault::Silent)
    }

    /// Waits until the proxy is not silent.
    async fn spoken(&self) {
        let speaks = |fault: &Fault| !matches!(fault, Fault::Silent);
        // The sender lives as long as this does.
        _ = self.fault.subscribe().wait_for(speaks).await;
    }

    /// Passes a response on. A watch stands still while the proxy is silent.
    fn flow(self: &Arc<Self>, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        parts.headers.remove(TRANSFER_ENCODING);
        let shared = Arc::clone(self);
        let flow = body.into_data_stream().then(move |piece| {
            let shared = Arc::clone(&shared);
            async move {
                shared.spoken().await;
                piece
            }
        });
        Response::from_parts(parts, Body::from_stream(flow))
    }
}

fn refusal(code: u16) -> Response {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "injected by the test", "reason": reason, "code": code,
    });
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    *response.headers_mut() = HeaderMap::from_iter([(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    )]);
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
