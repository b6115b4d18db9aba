//! `/livez`, `/readyz` and `/metrics`, and the state behind them.
//!
//! Live: no task that must run as long as the process has ended. Ready: everything that work needs is in place; a follower
//! is ready too.

use std::{collections::BTreeMap, future::Future, net::SocketAddr};

use anyhow::Context;
use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use crate::metrics::Metrics;

/// What is still missing and what has ended; clones share it.
#[derive(Clone)]
pub(crate) struct Health(watch::Sender<Report>);

#[derive(Default)]
struct Report {
    /// By number, as several tasks may wait for the same thing.
    missing: BTreeMap<u64, Missing>,
    numbers: u64,
    ended: Vec<String>,
}

struct Missing {
    what: String,
    why: Option<String>,
    /// Work does not begin without it.
    needed: bool,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Report::default()))
    }

    /// Not ready, and no controller begins, until the guard is dropped.
    pub(crate) fn waiting(&self, what: String) -> Waiting {
        self.miss(Missing { what, why: None, needed: true })
    }

    /// Not ready until the guard is dropped, but controllers do what they can.
    pub(crate) fn lacking(&self, what: String) -> Waiting {
        self.miss(Missing { what, why: None, needed: false })
    }

    fn miss(&self, missing: Missing) -> Waiting {
        let mut number = 0;
        self.0.send_modify(|report| {
            report.numbers += 1;
            number = report.numbers;
            report.missing.insert(number, missing);
        });
        Waiting { health: self.clone(), number }
    }

    /// Not live after the guard is dropped.
    pub(crate) fn task(&self, name: String) -> Alive {
        Alive { health: self.clone(), name }
    }

    /// Waits until nothing is missing that work needs.
    pub(crate) async fn ready(&self) {
        // The sender lives in `self`, so the channel is open.
        let _ = self
            .0
            .subscribe()
            .wait_for(|report| report.missing.values().all(|missing| !missing.needed))
            .await;
    }

    pub(crate) fn missing(&self) -> Vec<String> {
        let told = |missing: &Missing| match &missing.why {
            Some(why) => format!("{}: {why}", missing.what),
            None => missing.what.clone(),
        };
        self.0.borrow().missing.values().map(told).collect()
    }

    fn ended(&self) -> Vec<String> {
        self.0.borrow().ended.clone()
    }
}

/// Guard of something that is waited for.
pub(crate) struct Waiting {
    health: Health,
    number: u64,
}

impl Waiting {
    /// Sets the reason why it is not there yet.
    pub(crate) fn because(&self, why: &str) {
        self.health.0.send_modify(|report| {
            if let Some(missing) = report.missing.get_mut(&self.number) {
                missing.why = Some(why.to_owned());
            }
        });
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.health.0.send_modify(|report| drop(report.missing.remove(&self.number)));
    }
}

/// A task that is meant to live as long as the process.
pub(crate) struct Alive {
    health: Health,
    name: String,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.health.0.send_modify(|report| report.ended.push(std::mem::take(&mut self.name)));
    }
}

#[derive(Clone)]
struct Served {
    health: Health,
    metrics: Metrics,
}

/// Binds the address, so that a wrong one fails at once, and returns it with the server to poll.
pub(crate) async fn serve(
    address: SocketAddr,
    health: Health,
    metrics: Metrics,
) -> anyhow::Result<(SocketAddr, impl Future<Output = anyhow::Result<()>>)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for probes and metrics (--listen)"))?;
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(Served { health, metrics });
    let address = listener.local_addr()?;
    Ok((address, async move {
        axum::serve(listener, router).await.context("the server of probes and metrics ended")
    }))
}

async fn livez(State(served): State<Served>) -> impl IntoResponse {
    answer("ended", &served.health.ended())
}

async fn readyz(State(served): State<Served>) -> impl IntoResponse {
    answer("waiting for", &served.health.missing())
}

fn answer(problem: &str, names: &[String]) -> (StatusCode, String) {
    if names.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        let lines: Vec<_> = names.iter().map(|name| format!("{problem} {name}\n")).collect();
        (StatusCode::SERVICE_UNAVAILABLE, lines.concat())
    }
}

async fn metrics_text(State(served): State<Served>) -> impl IntoResponse {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match served.metrics.text() {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, OPENMETRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_names_what_is_missing_until_it_is_there() {
        let health = Health::new();
        let pods = health.waiting("cache of Pod".to_owned());
        let (status, body) = answer("waiting for", &health.missing());
        assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "waiting for cache of Pod\n"));
        drop(pods);
        health.ready().await;
        assert_eq!(answer("waiting for", &health.missing()).0, StatusCode::OK);
    }

    #[test]
    fn a_task_that_ended_makes_the_process_not_live() {
        let health = Health::new();
        let task = health.task("cache of Pod".to_owned());
        assert_eq!(health.ended(), Vec::<String>::new());
        drop(task);
        assert_eq!(health.ended(), ["cache of Pod"]);
    }
}
