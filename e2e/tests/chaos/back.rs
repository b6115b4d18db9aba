//! The way back over a border of releases, from a target that has ended in any way but a clean stop.

use anyhow::Result;
use e2e::kubectl::{apply, kubectl};
use e2e::machine;
use e2e::manifests;
use e2e::proxy::When;

use crate::row::{Ending, Row};
use crate::stage::{NAMESPACE, RELEASES, Shape, Stage};
use crate::step::Step;

/// Images of the last release whose node ends at each start, and after what; see e2e/images/cassandra/faulty.
const FAULTS: [(&str, &str); 3] = [("killed", "served"), ("unstarted", "wrote"), ("hungry", "out of memory")];

pub fn rows() -> Vec<Row> {
    let [_, before, _] = RELEASES;
    let shapes = [(Shape::Three, "3 x 1"), (Shape::Single, "single")];
    let of = |(shape, name): (Shape, &'static str)| {
        let faults = FAULTS.map(|(image, after)| {
            Row::new("target ends for good", format!("{after}, {name}"), Ending::Returned, move |stage| {
                faulty(stage, image)
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

fn faulty(stage: &mut Stage, image: &str) -> Result<String> {
    let [_, _, release] = RELEASES;
    let name = format!("{release}-{image}");
    let version = manifests::version_of(&name, &format!("localhost/cassandra:{image}"), release);
    apply(&version.to_string())?;
    stage.target = name;
    stage.request().map(|()| String::new())
}

/// All nodes run the target. The first one is ended, and the user wants the way back.
fn stopped(stage: &mut Stage, end: impl Fn(&str) -> Result<()>) -> Result<String> {
    let [_, _, release] = RELEASES;
    release.clone_into(&mut stage.target);
    stage.hold(When::Before, Step::Version)?;
    end(stage.first_pod())?;
    kubectl(&["delete", "casops", "-n", NAMESPACE, &stage.name(), "--wait=false"])?;
    stage.release();
    Ok(String::new())
}
