//! The update without a fault: how long it takes against its floor, and who wrote what, from the audit log of the API server.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::audit::{Request, mark, since};

use crate::stage::{NAMESPACE, Stage};

/// What the provisioner may write while the Cassandra is halted: the status of the Cassandra, events about it, and what the
/// PetSet controller writes, which is not halted and is responsible for StatefulSets only.
const ALLOWED: [&str; 4] = ["cassandras/status", "events", "statefulsets", "petsets/status"];

pub fn plain(stage: &mut Stage) -> Result<String> {
    let start = mark()?;
    let started = Instant::now();
    stage.request()?;
    stage.end()?;
    let took = started.elapsed().as_secs_f64();
    let mut writes = since(&start)?;
    // A refused write changed nothing. One that was based on an older version of the object is decided again.
    writes.retain(|request| request.is_write() && request.code < 300 && request.namespace == NAMESPACE);
    let [before, halted, after] = parts(&writes)?;
    for (when, part) in
        [("until the halt", before), ("between halt and resume", halted), ("after the resume", after)]
    {
        tell(when, part);
    }
    let forbidden = |r: &&Request| r.operator == "provisioner" && !ALLOWED.contains(&r.resource.as_str());
    let strays: Vec<_> = halted.iter().filter(forbidden).collect();
    ensure!(strays.is_empty(), "between halt and resume the provisioner wrote {strays:?}");
    ensure!(halted.iter().any(|r| r.resource == "statefulsets"), "the log does not show the update");
    Ok(match stage.floor {
        Some(floor) => format!("{took:.1} s, {:.2} times the floor of {floor:.1} s", took / floor),
        None => format!("{took:.1} s; the row before it measures the floor"),
    })
}

/// Splits the writes at the halt and at the resume: the first and the last of the three patches that the ops-manager sends to
/// the Cassandra.
fn parts(writes: &[Request]) -> Result<[&[Request]; 3]> {
    let of_ops_manager = |r: &Request| r.operator == "ops-manager" && r.resource == "cassandras";
    let patches: Vec<usize> =
        writes.iter().enumerate().filter(|(_, r)| of_ops_manager(r)).map(|(index, _)| index).collect();
    let [halt, _version, resume] = patches[..] else {
        return Err(anyhow::anyhow!("the ops-manager patched the Cassandra {} times, not 3", patches.len()));
    };
    let (head, tail) = writes.split_at_checked(halt + 1).context("the halt is in the log")?;
    let (middle, tail) = tail.split_at_checked(resume - halt).context("the resume is in the log")?;
    Ok([head, middle, tail])
}

fn tell(when: &str, writes: &[Request]) {
    println!("    {when}:");
    let mut counts = BTreeMap::new();
    for Request { operator, verb, resource, .. } in writes {
        *counts.entry(format!("{operator:<12} {verb:<7} {resource}")).or_insert(0) += 1;
    }
    for (what, count) in counts {
        println!("    {count:>6}  {what}");
    }
}
