//! Why a pod does not come up, or does not go. Both operators use this, so that they report the same cause.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::{Api, api::LogParams};

/// Why a pod does not come up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong. The text stays the same from one attempt to the next.
    pub what: String,
    /// Kubernetes' own message; for a container that ended, its termination message, which may be the end of its log.
    pub said: Option<String>,
    /// The container that ended by itself, so that its log says why.
    pub ended: Option<Ended>,
    /// It does not pass by itself: the next attempt would fail like the last ones.
    pub lasts: bool,
}

/// A container that ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub container: String,
    /// Id of the run that ended.
    pub id: String,
}

/// Why a pod does not come up; `None` if its containers work or are about to start for the first time.
pub fn trouble(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|one| {
        one.type_ == "PodScheduled" && one.status == "False" && one.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(unscheduled) = unscheduled {
        let what = format!("cannot be scheduled: {}", unscheduled.message.as_deref().unwrap_or_default());
        return Some(Trouble { what, said: None, ended: None, lasts: false });
    }
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten()).find_map(|container| failure(pod, container))
}

fn failure(pod: &Pod, container: &ContainerStatus) -> Option<Trouble> {
    let ended = ended(container);
    if container.ready || ended.is_some_and(|ended| ended.exit_code == 0) {
        return None;
    }
    match ended {
        Some(ended) => Some(crash(pod, container, ended)),
        None => wait(container),
    }
}

/// The last run that ended.
fn ended(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let now = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    now.or_else(|| container.last_state.as_ref()?.terminated.as_ref())
}

fn crash(pod: &Pod, container: &ContainerStatus, ended: &ContainerStateTerminated) -> Trouble {
    const KILLED: i32 = 128 + 9;
    const ASKED_TO_STOP: i32 = 128 + 15;
    /// A container that failed this often does not come up by itself.
    const CRASHES: i32 = 3;
    let (name, code) = (&container.name, ended.exit_code);
    let limit = memory_limit(pod, name);
    let (what, by_itself) = match code {
        _ if ended.reason.as_deref() == Some("OOMKilled") => {
            let limit =
                limit.map_or("what its machine has".to_owned(), |limit| format!("its limit of {limit}"));
            let advice =
                format!("raise resources.limits.memory of {name} in the podTemplate, then delete the pod");
            (
                format!("out of memory: container {name} was killed at {limit} (exit code {code}); {advice}"),
                false,
            )
        }
        KILLED => {
            let limit = limit.map(|limit| format!("; its limit is {limit}")).unwrap_or_default();
            let why = "for want of memory, or because it did not stop in time";
            (format!("container {name} was killed (exit code {code}) {why}{limit}"), false)
        }
        ASKED_TO_STOP => {
            let why = "its liveness or startup probe failed, see the events of the pod";
            (format!("container {name} was stopped by Kubernetes (exit code {code}): {why}"), false)
        }
        code => (format!("container {name} ended with exit code {code}"), true),
    };
    let said = ended.message.as_deref().or(ended.reason.as_deref()).unwrap_or("no message");
    let id = ended.container_id.clone().unwrap_or_default();
    Trouble {
        what,
        said: by_itself.then(|| end_of(said.trim()).to_owned()),
        ended: by_itself.then(|| Ended { container: name.clone(), id }),
        lasts: waiting(container) == Some(BACKS_OFF) && container.restart_count >= CRASHES,
    }
}

fn wait(container: &ContainerStatus) -> Option<Trouble> {
    const WAITS: [&str; 2] = ["PodInitializing", "ContainerCreating"];
    let reason = waiting(container).filter(|reason| !WAITS.contains(reason))?;
    let message = container.state.as_ref()?.waiting.as_ref()?.message.clone();
    let (name, image) = (&container.name, &container.image);
    if !["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"].contains(&reason) {
        let message = message.filter(|_| reason != BACKS_OFF).map(|it| format!(": {it}")).unwrap_or_default();
        let what = format!("container {name} waits: {reason}{message}");
        return Some(Trouble { what, said: None, ended: None, lasts: false });
    }
    // ErrImagePull alone may be a hiccup of the registry; ImagePullBackOff comes after the second failure.
    let lasts = reason != "ErrImagePull";
    // Kubernetes alternates between the two names of one cause.
    let reason = if lasts { reason } else { "ImagePullBackOff" };
    let what = format!("image {image} cannot be pulled ({reason}, container {name})");
    Some(Trouble { what, said: message, ended: None, lasts })
}

const BACKS_OFF: &str = "CrashLoopBackOff";

fn waiting(container: &ContainerStatus) -> Option<&str> {
    container.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn memory_limit(pod: &Pod, container: &str) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let mut containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let limits = containers.find(|one| one.name == container)?.resources.as_ref()?.limits.as_ref()?;
    limits.get("memory").map(|limit| limit.0.clone())
}

/// The end of a message. It may be the end of a log, in which what matters comes last.
fn end_of(message: &str) -> &str {
    const LONGEST: usize = 700;
    let start = message.len().saturating_sub(LONGEST);
    let start = (start..message.len()).find(|&position| message.is_char_boundary(position));
    start.map_or(message, |start| &message[start..])
}

/// Why a pod is still there after its grace period. The text stays the same while the pod does.
///
/// The end of the grace period is a time of the API server's clock, so a minute of difference is tolerated. Nothing but a
/// message depends on it.
pub fn overstay(pod: &Pod, now: Timestamp) -> Option<String> {
    const GRANTED: SignedDuration = SignedDuration::from_mins(1);
    // The end of the grace period, not its beginning.
    let end = pod.metadata.deletion_timestamp.as_ref()?.0;
    if now.duration_since(end) < GRANTED {
        return None;
    }
    let finalizers = pod.metadata.finalizers.as_deref().unwrap_or_default();
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("(none)");
    let disrupted = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let disrupted = disrupted.into_iter().find(|one| one.type_ == "DisruptionTarget" && one.status == "True");
    let why = if finalizers.is_empty() {
        let said = disrupted.and_then(|one| one.message.as_deref());
        let said = said.map(|said| format!(" ({said})")).unwrap_or_default();
        format!(
            "Kubernetes node {node} does not report that it has stopped{said}: look whether that machine is Ready, and \
             delete the Node if it is lost"
        )
    } else {
        format!("whoever has set the finalizers {} holds it", finalizers.join(", "))
    };
    Some(format!("is Terminating, and was to be gone at {end:.0}: {why}"))
}

/// The log of a container's previous run, else of its current one; `None` if neither can be read.
///
/// Only the end is read. The limit leaves room for a stack trace and the noise of a shutdown.
pub async fn last_log(pods: &Api<Pod>, pod: &str, container: &str) -> Option<String> {
    const LINES: i64 = 400;
    const BYTES: i64 = 256 * 1024;
    const WAIT: Duration = Duration::from_secs(5);
    for previous in [true, false] {
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(LINES),
            limit_bytes: Some(BYTES),
            ..LogParams::default()
        };
        match tokio::time::timeout(WAIT, pods.logs(pod, &params)).await {
            Ok(Ok(log)) if is_log(&log) => return Some(log),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!("no log of container {container} of pod {pod}: {error}"),
            // The next request would wait as long.
            Err(_) => return None,
        }
    }
    None
}

/// A kubelet that has already removed a container sends an error text as its log, with HTTP status 200. This happens while
/// the status of the pod still shows the run before the last one.
fn is_log(text: &str) -> bool {
    !text.trim().is_empty() && !text.starts_with("unable to retrieve container logs for ")
}

#[cfg(test)]
mod tests;
