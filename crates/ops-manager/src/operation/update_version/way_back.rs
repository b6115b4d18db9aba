//! Checks before a roll-back whether the source can read what the ring holds by now.
//!
//! A successful start proves nothing: an older release skips a file of `system_schema` that has a column it does not know, and so
//! loses the tables in it. So the schema is checked for what only the target knows while a node of the target still answers, and
//! before any pod can be created from the source again.

use api::ops_request::{Release, UpdateVersionRecord};
use semver::Version;

use super::goal::Goal;
use crate::observe::Observed;
use crate::observe::node::Node;
use crate::preparation::known_to_target::{Finding, unknown_to};
use crate::step::{Step, Wait};

/// How many findings a message lists: nobody reads hundreds.
const NAMED: usize = 5;

/// The step if something blocks the roll-back or must be asked first. `None`: nothing does, or nobody can answer any more.
pub(crate) fn held_up(observed: &Observed, record: &UpdateVersionRecord) -> Option<Step> {
    if nodes_to_ask(observed, record).is_empty() {
        return None;
    }
    let Some(ring) = &observed.ring else { return Some(Step::Probe) };
    let source = &record.source;
    let message = match ring.names.schema.as_ref()? {
        Ok(uses) => {
            let findings = unknown_to(&version(source)?, uses);
            let fatal: Vec<String> =
                findings.iter().filter(|it| it.fatal).take(NAMED).map(Finding::to_string).collect();
            if fatal.is_empty() {
                return None;
            }
            format!(
                "CassandraVersion {} does not know what is in use by now: {}",
                source.name,
                fatal.join("; ")
            )
        }
        Err(why) => format!(
            "the schema, which CassandraVersion {} must know, cannot be asked for: {why}",
            source.name
        ),
    };
    Some(Step::Wait(Wait {
        condition: "UpdatePetSets".to_owned(),
        reason: "UnknownToSource",
        message,
        step: Some("the way back".to_owned()),
    }))
}

/// The nodes that know what the target has added. None if the source is of the same release line, or if all templates have the
/// source's image again.
pub(crate) fn nodes_to_ask<'a>(observed: &'a Observed, record: &UpdateVersionRecord) -> Vec<&'a Node> {
    let line = |release: &Release| version(release).map(|version| (version.major, version.minor));
    let goal = Goal::of(record);
    let under_way = observed.racks.iter().all(|rack| goal.has_image(rack));
    if !goal.back || line(&record.source) >= line(&record.target) || under_way {
        return vec![];
    }
    let on_target = observed.pods().filter(|(rack, pod)| pod.is_up() && !goal.is_renewed(rack, pod));
    on_target.map(|(_, pod)| pod).collect()
}

fn version(release: &Release) -> Option<Version> {
    Version::parse(&release.version).ok()
}
