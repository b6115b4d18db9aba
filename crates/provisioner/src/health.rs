//! Health checks: every node is asked over CQL.
//!
//! Checks run in tasks of their own, so that a ring that does not answer delays neither other rings nor the answer to a halt.
//! A reconcile takes the result of the last check and starts the next one when it is due.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Cassandra;
use cassandra::ring::{self, Problem};
use cassandra::{Credentials, Error, Node, Sessions, View};
use futures::future::join_all;
use kube::runtime::reflector::ObjectRef;
use operator::Queue;

use crate::checks::{Check, Report, Verdict};
use crate::observe::PodSeen;
use crate::ring_state::RingStates;
use crate::setup::Turns;

/// Which nodes to ask, and how.
pub struct Target {
    /// Uid of the Cassandra.
    pub uid: String,
    /// Name of the cluster, as its nodes know it.
    pub cluster: String,
    /// The Cassandra, to trigger a reconcile when the result changes.
    pub cassandra: ObjectRef<Cassandra>,
    /// All pods that the ring should have.
    pub pods: Vec<PodSeen>,
    /// Login; `None` if security is disabled.
    pub credentials: Option<Credentials>,
    /// Failures in a row are counted up to this number.
    pub threshold: u32,
    /// How long each question may take.
    pub timeout: Duration,
    /// Whether to write and read a row.
    pub write: bool,
}

/// Starts rounds of checks and remembers their results.
#[derive(Clone)]
pub struct Health {
    /// One session per node, shared by everything that talks to it.
    pub sessions: Sessions,
    /// Where results are kept.
    pub states: RingStates,
    /// Queue of reconciles to trigger.
    pub queue: Queue<Cassandra>,
    /// Limits how many rings are set up at once.
    pub turns: Turns,
}

impl Health {
    /// Result of the last round. Starts another round if `every` has passed since the last one began; `None`: at once.
    pub fn look(&self, target: Target, every: Option<Duration>) -> Option<Verdict> {
        let (verdict, due, gone) = self.states.with(&target.uid, |state| {
            let checks = &mut state.checks;
            let due = !checks.running
                && checks.started.is_none_or(|started| every.is_none_or(|every| started.elapsed() >= every));
            let addresses: Vec<_> = target.pods.iter().filter_map(|pod| pod.address).collect();
            let gone: Vec<_> =
                checks.addresses.iter().copied().filter(|old| !addresses.contains(old)).collect();
            checks.addresses = addresses;
            if due {
                (checks.started, checks.running) = (Some(Instant::now()), true);
            }
            (checks.verdict.clone(), due, gone)
        });
        for address in &gone {
            self.sessions.forget(address);
        }
        if due {
            let (health, target) = (self.clone(), Arc::new(target));
            let asking = Box::pin(Round::run(self.sessions.clone(), Arc::clone(&target)));
            tokio::spawn(async move { health.round(&target, asking).await });
        }
        verdict
    }

    /// In a task of its own: if the driver panics there must still be a verdict, or the last one would stand for ever.
    async fn round(&self, target: &Target, asking: impl Future<Output = Round> + Send + 'static) {
        let round = tokio::spawn(asking).await.unwrap_or_else(|panic| {
            tracing::error!("a check of health did not come to its end: {panic}");
            Round::broken()
        });
        let news = self.states.if_known(&target.uid, |state| {
            if round.refused {
                state.login = None;
            }
            // Nodes without the superuser, or without the operator's keyspace, have started over with empty data.
            if round.refused || round.unwritable {
                state.set_up = false;
            }
            let checks = &mut state.checks;
            checks.running = false;
            let before = checks.verdict.take();
            let (silent, failed) = before.as_ref().map_or((0, 0), |before| (before.silent, before.failed));
            let count = |check: &Check, before: u32| {
                if check.is_ok() { 0 } else { before.saturating_add(1).min(target.threshold) }
            };
            let verdict = Verdict {
                silent: count(&round.report.accepting, silent),
                failed: count(&round.report.ready, failed),
                report: round.report,
            };
            let news = before.as_ref() != Some(&verdict);
            checks.verdict = Some(verdict);
            state.pace.tried(!news);
            news
        });
        if news == Some(true) {
            self.queue.trigger(target.cassandra.clone());
        }
    }
}

struct Round {
    report: Report,
    /// A node refused the login.
    refused: bool,
    /// The operator's own keyspace refused the write.
    unwritable: bool,
}

impl Round {
    /// A round that found out nothing.
    fn broken() -> Self {
        let why = || Err("the check itself failed, a fault of this operator: its log says more".to_owned());
        let report = Report { accepting: why(), ready: why(), host_ids: BTreeMap::new() };
        Self { report, refused: false, unwritable: false }
    }

    async fn run(sessions: Sessions, target: Arc<Target>) -> Self {
        let target = &*target;
        let answers = join_all(target.pods.iter().map(|pod| ask(&sessions, target, pod))).await;
        let refused =
            answers.iter().any(|answer| matches!(answer, Err(Silent::Error(Error::Unauthorized { .. }))));
        let (mut nodes, mut views, mut silent) = (Vec::new(), Vec::new(), Vec::new());
        for (pod, answer) in target.pods.iter().zip(answers) {
            match answer {
                Ok((node, view)) => {
                    nodes.push(node);
                    views.push(view);
                }
                Err(reason) => silent.push(format!("pod {}: {}", pod.name, reason)),
            }
        }
        let accepting = if nodes.is_empty() { Err(listed(&silent)) } else { Ok(()) };
        let mut problems = silent;
        if problems.is_empty() {
            problems = ring_problems(target.pods.len(), &target.cluster, &views);
        }
        let mut host_ids = BTreeMap::new();
        if problems.is_empty() {
            let ids = views.iter().map(|view| view.host_id.to_string());
            host_ids = target.pods.iter().map(|pod| pod.name.clone()).zip(ids).collect();
        }
        let mut unwritable = false;
        if let (true, Some(node)) = (target.write && problems.is_empty(), nodes.first()) {
            match tokio::time::timeout(target.timeout, node.write_and_read()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    unwritable = matches!(error, Error::Refused { .. });
                    problems.push(error.to_string());
                }
                Err(_) => problems.push(format!("no write and read within {:?}", target.timeout)),
            }
        }
        let ready = if problems.is_empty() { Ok(()) } else { Err(listed(&problems)) };
        Self { report: Report { accepting, ready, host_ids }, refused, unwritable }
    }
}

/// Why a node gave no answer.
enum Silent {
    NoAddress,
    TooSlow(Duration),
    Error(Error),
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("it has no address yet"),
            Self::TooSlow(timeout) => write!(f, "no answer within {timeout:?}"),
            Self::Error(error) => error.fmt(f),
        }
    }
}

async fn ask(sessions: &Sessions, target: &Target, pod: &PodSeen) -> Result<(Arc<Node>, View), Silent> {
    let address = pod.address.ok_or(Silent::NoAddress)?;
    let question = async {
        let node = sessions.node(address, target.credentials.as_ref(), target.timeout).await?;
        let view = node.view().await?;
        Ok((node, view))
    };
    match tokio::time::timeout(target.timeout, question).await {
        Ok(answer) => answer.map_err(Silent::Error),
        Err(_) => Err(Silent::TooSlow(target.timeout)),
    }
}

/// A node that streams (a repair, a rebuild) still serves clients, so streaming is not a problem.
fn ring_problems(expected: usize, cluster: &str, views: &[View]) -> Vec<String> {
    let strangers = ring::strangers(cluster, views);
    let problems = ring::problems(expected, views);
    strangers
        .iter()
        .chain(&problems)
        .filter(|problem| !matches!(problem, Problem::Streaming { .. }))
        .map(ToString::to_string)
        .collect()
}

/// The first problems, and how many more there are.
pub fn listed(problems: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<String> = problems.iter().take(SHOWN).cloned().collect();
    if problems.len() > SHOWN {
        shown.push(format!("and {} more", problems.len() - SHOWN));
    }
    shown.join("; ")
}

#[cfg(test)]
mod tests;
