//! How long Kubernetes and Cassandra themselves need to renew each pod: nothing that renews all of them can be faster.

use std::time::Instant;

use anyhow::Result;
use e2e::kubectl::{condition, get, kubectl, phase, text, wait_for};

use crate::stage::{NAMESPACE, PODS, Stage, cassandra};

/// Deletes each pod, and adds up the time until its successor is Ready. The first deletion in a ring does not count: a Cassandra
/// that has not yet seen another node come back at a new address stops eight seconds sooner than one that has.
pub fn measure(stage: &mut Stage) -> Result<String> {
    let [a, b, c] = PODS;
    let mut seconds = Vec::new();
    for pod in [c, a, b, c] {
        let uid = text(&get(NAMESPACE, &format!("pod/{pod}"))?, "/metadata/uid");
        let started = Instant::now();
        kubectl(&["delete", "pod", "-n", NAMESPACE, pod, "--wait=false"])?;
        wait_for(&format!("the successor of {pod}"), NAMESPACE, 180, || {
            let pod = get(NAMESPACE, &format!("pod/{pod}"))?;
            let ready = condition(&pod, "Ready").is_some_and(|ready| ready["status"] == "True");
            Ok((ready && text(&pod, "/metadata/uid") != uid).then_some(()))
        })?;
        seconds.push(started.elapsed().as_secs_f64());
        // The next one must not go while the ring has not seen this one.
        phase(NAMESPACE, &cassandra(), &["Ready"], 60)?;
    }
    let seconds = seconds.split_off(1);
    stage.floor = Some(seconds.iter().sum());
    let each: Vec<_> = seconds.iter().map(|seconds| format!("{seconds:.1}")).collect();
    Ok(format!("stop and start: {} s", each.join(" + ")))
}
