//! `/livez`, `/readyz` and `/metrics`, and the state behind them.
//!
//! Live: no task that lives as long as the process has ended. Ready: everything is in place that work needs; a follower
//! is ready too.

use std::{future::Future, net::SocketAddr};

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
    waiting: Vec<String>,
    ended: Vec<String>,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Report::default()))
    }

    /// Not ready until the guard is dropped.
    pub(crate) fn waiting(&self, what: String) -> Waiting {
        self.0.send_modify(|report| report.waiting.push(what.clone()));
        Waiting { health: self.clone(), what }
    }

    /// Not live after the guard is dropped.
    pub(crate) fn task(&self, name: String) -> Alive {
        Alive { health: self.clone(), name }
    }

    /// Waits until nothing is missing.
    pub(crate) async fn ready(&self) {
        // The sender lives in `self`, so the channel is open.
        let _ = self.0.subscribe().wait_for(|report| report.waiting.is_empty()).await;
    }

    pub(crate) fn missing(&self) -> Vec<String> {
        self.0.borrow().waiting.clone()
    }

    fn ended(&self) -> Vec<String> {
        self.0.borrow().ended.clone()
    }
}

/// Something that is waited for.
pub(crate) struct Waiting {
    health: Health,
    what: String,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.health.0.send_modify(|report| {
            if let Some(position) = report.waiting.iter().position(|what| *what == self.what) {
                report.waiting.remove(position);
            }
        });
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

/// Binds the address, so that a wrong one is told at once, and returns the server to poll.
pub(crate) async fn serve(
    address: SocketAddr,
    health: Health,
    metrics: Metrics,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for probes and metrics (--listen)"))?;
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(Served { health, metrics });
    Ok(async move { axum::serve(listener, router).await.context("the server of probes and metrics ended") })
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
