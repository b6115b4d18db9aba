//! Leader election by a `Lease`: only one of the replicas writes.
//!
//! Clocks of different machines are never compared: another replica's lease counts as expired when *we* have seen no change
//! of it for its whole duration. Every write of the lease names the version that it is based on, so two candidates cannot
//! both win.

use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Error, api::PostParams};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{failure::error_chain, probes::Waiting};

/// Other replicas wait this long after the last change of the lease before they take it.
const DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew the lease for this long stops writing, before another replica may begin.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two attempts to renew or take the lease.
const RETRY: Duration = Duration::from_secs(2);
/// Timeout of one request: it must leave time for another before the deadline.
const REQUEST: Duration = Duration::from_secs(4);

/// Knows whether this replica leads.
#[derive(Clone)]
pub struct Leader(Election);

#[derive(Clone)]
enum Election {
    /// No election: this replica has led since its start.
    Without { since: Instant },
    /// `None` inside means a follower.
    Of(watch::Receiver<Option<Term>>),
}

/// The time for which this replica certainly leads.
#[derive(Clone, Copy)]
struct Term {
    since: Instant,
    until: Instant,
}

impl Leader {
    /// For an operator without election, which must be the only one.
    pub fn always() -> Self {
        Self(Election::Without { since: Instant::now() })
    }

    #[cfg(test)]
    pub(crate) fn follower() -> Self {
        Self(Election::Of(watch::channel(None).1))
    }

    /// Whether this replica may write at this moment.
    pub fn is_leading(&self) -> bool {
        match &self.0 {
            Election::Without { .. } => true,
            Election::Of(term) => term.borrow().is_some_and(|term| Instant::now() < term.until),
        }
    }

    /// Since when this replica leads; `None` if it does not. What happened before may not have been seen by the earlier leader.
    pub fn since(&self) -> Option<Instant> {
        match &self.0 {
            Election::Without { since } => Some(*since),
            Election::Of(term) => term.borrow().map(|term| term.since),
        }
    }

    /// Waits until this replica leads. It then leads until the process ends, since losing the lease ends the process.
    pub async fn acquired(&self) {
        if let Election::Of(term) = &self.0
            && term.clone().wait_for(Option::is_some).await.is_err()
        {
            // The elector has ended without having led, and the process is about to.
            std::future::pending::<()>().await;
        }
    }
}

/// The lease as last seen, and when we last saw it change.
struct Seen {
    lease: Lease,
    changed: Instant,
}

impl Seen {
    /// Any difference counts as a sign of life, so the clock of the holder does not matter.
    fn update(earlier: Option<Self>, lease: Lease, now: Instant) -> Self {
        match earlier {
            Some(earlier) if earlier.lease.spec == lease.spec => Self { lease, changed: earlier.changed },
            _ => Self { lease, changed: now },
        }
    }
}

/// What a candidate does about the lease.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// There is no lease.
    Create,
    /// The lease is ours.
    Renew,
    /// It was released, or its holder has been silent for too long.
    Take,
    /// Its holder is alive, as far as we know.
    Follow,
}

fn decide(seen: Option<&Seen>, me: &str, now: Instant) -> Decision {
    let Some(seen) = seen else { return Decision::Create };
    let spec = seen.lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    if holder == me {
        return Decision::Renew;
    }
    let seconds =
        spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    let duration = seconds.map_or(DURATION, Duration::from_secs);
    if holder.is_empty() || now >= seen.changed + duration { Decision::Take } else { Decision::Follow }
}

/// Takes part in the election for one replica.
pub(crate) struct Elector {
    api: Api<Lease>,
    name: String,
    me: String,
    seen: Option<Seen>,
    term: watch::Sender<Option<Term>>,
    gauge: Gauge,
    /// Dropped once the lease could be read or written.
    unknown: Option<Waiting>,
}

impl Elector {
    /// `me` must be new with every start of the process, or a restarted one would believe that it still leads.
    pub(crate) fn new(
        api: Api<Lease>,
        name: &str,
        me: String,
        gauge: Gauge,
        unknown: Waiting,
    ) -> (Self, Leader) {
        let (term, leader) = watch::channel(None);
        let elector =
            Self { api, name: name.to_owned(), me, seen: None, term, gauge, unknown: Some(unknown) };
        (elector, Leader(Election::Of(leader)))
    }

    /// Tries to take the lease and renews it, and releases it on `stop`. Losing it is an error that must end the process.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut led = None;
        while !stop.is_cancelled() {
            let started = Instant::now();
            let outcome = self.attempt().await;
            match outcome {
                Ok(true) => {
                    let since = *led.get_or_insert_with(|| {
                        tracing::info!("{} leads (lease {})", self.me, self.name);
                        Instant::now()
                    });
                    self.gauge.set(1);
                    self.term.send_replace(Some(Term { since, until: started + RENEW_DEADLINE }));
                }
                Ok(false) if led.is_some() => {
                    bail!("lost the lease {}: another replica has taken it, or it was deleted", self.name)
                }
                Ok(false) => {}
                Err(ref error) => {
                    let why = error_chain(&**error);
                    tracing::warn!("cannot renew or read the lease {}: {why}", self.name);
                    self.unknown.iter().for_each(|unknown| unknown.because(&why));
                }
            }
            if outcome.is_ok() {
                self.unknown = None;
            }
            if self.term.borrow().is_some_and(|term| Instant::now() >= term.until) {
                bail!("lost the lease {}: no renewal for {} s", self.name, RENEW_DEADLINE.as_secs());
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        if led.is_some() {
            self.release().await;
        }
        Ok(())
    }

    /// One attempt; returns whether the lease is ours afterwards.
    async fn attempt(&mut self) -> anyhow::Result<bool> {
        let leads = decide(self.seen.as_ref(), &self.me, Instant::now()) == Decision::Renew;
        if !leads {
            self.look().await?;
        }
        let decision = decide(self.seen.as_ref(), &self.me, Instant::now());
        if decision == Decision::Follow {
            return Ok(false);
        }
        let wanted = self.claim(decision == Decision::Renew);
        let params = PostParams::default();
        let written = if decision == Decision::Create {
            tokio::time::timeout(REQUEST, self.api.create(&params, &wanted)).await?
        } else {
            tokio::time::timeout(REQUEST, self.api.replace(&self.name, &params, &wanted)).await?
        };
        match written {
            Ok(lease) => {
                self.seen = Some(Seen::update(self.seen.take(), lease, Instant::now()));
                Ok(true)
            }
            Err(Error::Api(status)) if matches!(status.code, 404 | 409) => {
                // The lease has changed: either another replica was faster, or the response to a write of ours was lost.
                self.look().await?;
                Ok(leads && decide(self.seen.as_ref(), &self.me, Instant::now()) == Decision::Renew)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let lease = tokio::time::timeout(REQUEST, self.api.get_opt(&self.name)).await??;
        let earlier = self.seen.take();
        self.seen = lease.map(|lease| Seen::update(earlier, lease, Instant::now()));
        Ok(())
    }

    /// The lease with us as its holder, based on the version last seen.
    fn claim(&self, renewal: bool) -> Lease {
        let now = Some(MicroTime(Timestamp::now()));
        let seen = self.seen.as_ref().map(|seen| seen.lease.clone()).unwrap_or_default();
        let before = seen.spec.unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(-1);
        Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..seen.metadata },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.me.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: if renewal { before.acquire_time } else { now.clone() },
                renew_time: now,
                lease_transitions: Some(if renewal { transitions } else { transitions + 1 }),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Lets another replica take over at once.
    async fn release(mut self) {
        self.term.send_replace(None);
        self.gauge.set(0);
        let mut lease = self.claim(true);
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
        }
        self.seen = None;
        let params = PostParams::default();
        match tokio::time::timeout(REQUEST, self.api.replace(&self.name, &params, &lease)).await {
            Ok(Ok(_)) => tracing::info!("released the lease {}", self.name),
            Ok(Err(error)) => {
                tracing::warn!("the lease {} expires by itself: {}", self.name, error_chain(&error));
            }
            Err(_) => tracing::warn!("the lease {} expires by itself: no answer", self.name),
        }
    }
}

#[cfg(test)]
mod tests;
