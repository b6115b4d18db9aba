//! Rolling back over a release boundary, from a target whose node ended in any way but a clean stop.

use anyhow::Result;
use e2e::kubectl::{apply, get, kubectl, text, wait_for};
use e2e::machine;
use e2e::manifests;
use e2e::proxy::When;

use crate::row::{Ending, Row};
use crate::stage::{NAMESPACE, RELEASES, Shape, Stage};
use crate::step::Step;

/// Images of the last release whose node ends after each start, and what it has done by then; see e2e/images/cassandra/faulty.
const FAULTS: [(&str, &str); 3] = [("killed", "served"), ("unstarted", "wrote"), ("hungry", "out of memory")];

pub fn rows() -> Vec<Row> {
    let [_, before, _] = RELEASES;
    let shapes = [(Shape::Three, "3 x 1"), (Shape::Single, "single")];
    let of = |(shape, name): (Shape, &'static str)| {
        let faults = FAULTS.map(|(image, after)| {
            // A single node that has served proves the update: after that only the user can ask to roll back.
            let is_proven = shape == Shape::Single && image != "unstarted";
            let (ending, act): (_, fn(&mut Stage, &str) -> _) =
                if is_proven { (Ending::Stopped, proven_and_faulty) } else { (Ending::Returned, faulty) };
            Row::new("target ends for good", format!("{after}, {name}"), ending, move |stage| {
                act(stage, image)
            })
        });
        let stopped = [
            Row::new("target killed, stopped", format!("before version, {name}"), Ending::Stopped, |stage| {
                stopped(stage, |pod| machine::kill(NAMESPACE, pod, "cassandra"))
            }),
            Row::new("target forced away", format!("before version, {name}"), Ending::Stopped, |stage| {
                stopped(stage, |pod| {
                    let force = ["--force", "--grace-period=0", "--wait=false"];
                    kubectl(&[&["delete", "pod", "-n", NAMESPACE, pod][..], &force].concat()).map(drop)
                })
            }),
        ];
        faults.into_iter().chain(stopped).map(move |row| row.hits_nodes().on(shape, before))
    };
    shapes.into_iter().flat_map(of).collect()
}

/// The node ends again and again before the version is set, and the user deletes the request, which rolls back.
fn proven_and_faulty(stage: &mut Stage, image: &str) -> Result<String> {
    offer(stage, image)?;
    stage.hold(When::Before, Step::Version)?;
    let pod = format!("pod/{}", stage.first_pod());
    wait_for("the target to end", NAMESPACE, 120, || {
        let restarts = text(&get(NAMESPACE, &pod)?, "/status/containerStatuses/0/restartCount");
        Ok((restarts != "0").then_some(()))
    })?;
    let deleted = kubectl(&["delete", "casops", "-n", NAMESPACE, &stage.name(), "--wait=false"]);
    stage.release();
    deleted.map(|_| String::new())
}

fn faulty(stage: &mut Stage, image: &str) -> Result<String> {
    offer(stage, image)?;
    stage.request().map(|()| String::new())
}

/// Puts an image into the catalog as a build of the last release, and makes it the target.
fn offer(stage: &mut Stage, image: &str) -> Result<()> {
    let [_, _, release] = RELEASES;
    let name = format!("{release}-{image}");
    let version = manifests::version_of(&name, &format!("localhost/cassandra:{image}"), release);
    apply(&version.to_string())?;
    stage.target = name;
    Ok(())
}

/// All nodes run the target. The first one is ended, and the user deletes the request, which rolls back.
fn stopped(stage: &mut Stage, end: impl Fn(&str) -> Result<()>) -> Result<String> {
    let [_, _, release] = RELEASES;
    release.clone_into(&mut stage.target);
    stage.hold(When::Before, Step::Version)?;
    end(stage.first_pod())?;
    kubectl(&["delete", "casops", "-n", NAMESPACE, &stage.name(), "--wait=false"])?;
    stage.release();
    Ok(String::new())
}
