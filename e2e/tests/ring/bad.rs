//! Updates to an image that is not what it should be. The next part of the test requests a good one right away.

use anyhow::Result;
use e2e::kubectl::{apply, condition, kubectl, phase, text, wait_for};
use e2e::manifests::{update, version};
use serde_json::Value;

use crate::{CASSANDRA, NAMESPACE, PODS, fingerprint, images, uids};

/// The missing image is detected before anything is touched.
pub fn a_missing_image_touches_nothing() -> Result<()> {
    let before = fingerprint()?;
    let why = failed("missing", "4.1.90")?;
    assert!(why.contains("localhost/cassandra:missing") && why.contains("Nothing was touched"), "{why}");
    assert_eq!(fingerprint()?, before);
    Ok(())
}

/// Only one pod ever got the image, and it is back on the old one. The request says why the node ended.
pub fn a_crashing_image_reaches_one_pod_and_is_taken_back() -> Result<()> {
    let before = uids()?;
    let why = failed("crash", "4.1.91")?;
    assert!(why.contains(PODS[0]) && why.contains("The ring is whole on version 4.1.9, as before"), "{why}");
    assert!(why.contains("this image is broken on purpose"), "the last lines of its log: {why}");
    let renewed = before.iter().zip(uids()?).map(|(old, new)| *old != new).collect::<Vec<_>>();
    assert_eq!(renewed, [true, false, false, false, false, false]);
    assert!(images()?.iter().all(|image| image.ends_with(":4.1.9")));
    Ok(())
}

/// Requests a version with that image; returns why the request failed, and checks that nothing of it is left on the ring.
fn failed(image: &str, name: &str) -> Result<String> {
    apply(&version(name, &format!("localhost/cassandra:{image}")).to_string())?;
    apply(&update(NAMESPACE, image, "ring", name).to_string())?;
    let request = phase(NAMESPACE, &format!("casops/{image}"), &["Successful", "Failed", "Denied"], 400)?;
    assert_eq!(text(&request, "/status/phase"), "Failed", "{:#}", request["status"]);
    let ring = phase(NAMESPACE, CASSANDRA, &["Ready"], 60)?;
    assert_eq!(text(&ring, "/spec/halted"), "false");
    assert_eq!(ring["metadata"]["annotations"]["ops.kubedb.com/halted-by"], Value::Null);
    let pullers =
        ["get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=image-pull", "-o", "name"];
    wait_for("the pods that pull to go", NAMESPACE, 30, || Ok(kubectl(&pullers)?.is_empty().then_some(())))?;
    kubectl(&["delete", "casversion", name])?;
    Ok(condition(&request, "Failed").map(|failed| text(failed, "/message")).unwrap_or_default())
}
