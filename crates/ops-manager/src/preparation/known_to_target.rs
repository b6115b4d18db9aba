//! Checks before an update whether the target knows everything that the schema and the user's settings use. If not, its nodes
//! would not start; so the request is denied while all pods still run, with a message that says what helps.
//!
//! What each release knows is in tables. Classes of the user's must come with the image: the pod that pulls it looks for them.
//! What cannot be found out is reported and does not block the update.

mod ask;
mod finding;
pub(crate) mod look;
pub(crate) mod names;
mod schema;
mod settings;

pub use finding::Finding;
pub use look::Look;
pub use names::Names;
pub use schema::unknown_to;
pub use settings::{Setting, not_loaded_by};

pub(crate) use ask::{names as ask_names, schema as ask_schema};

use std::collections::{BTreeMap, BTreeSet};

use api::CassandraVersion;
use cassandra::schema::Use;
use semver::Version;

use super::image_pull;
use crate::observe::{Observed, release};
use crate::step::{Outcome, Step};

/// Type of the condition.
pub(crate) const CONDITION: &str = "CompatibilityCheck";
/// Reason of a denial.
const REASON: &str = "UnknownToTarget";
/// How many findings a message lists: nobody reads hundreds.
const NAMED: usize = 5;

/// Denies a request whose target does not know something in use.
pub(crate) fn refused(observed: &Observed) -> Option<Step> {
    let checked = check(observed)?;
    let message = checked.refusal(observed)?;
    Some(Step::Finish(Outcome::Denied { reason: REASON, message }))
}

/// The condition to set: status, reason and message. `None`: the ring was not asked.
pub(crate) fn condition(observed: &Observed) -> Option<(bool, &'static str, String)> {
    let checked = check(observed)?;
    if let Some(message) = checked.refusal(observed) {
        return Some((false, REASON, message));
    }
    if !checked.unsure.is_empty() {
        return Some((false, "Unknown", checked.unsure.join("; ")));
    }
    if !checked.open.is_empty() {
        let message = format!("looks in the image of the target for {}", list(&checked.open, "class"));
        return Some((false, "Looking", message));
    }
    if let Some(limit) = checked.limit {
        return Some((true, "WayBackLimited", limit));
    }
    Some((true, "Compatible", "the target knows what the schema and the settings name".to_owned()))
}

/// The classes that the pods that pull the image must look for.
pub(crate) fn classes(observed: &Observed) -> Vec<String> {
    let schema = observed.ring.as_ref().and_then(|ring| ring.names.schema.as_ref());
    let uses = schema.and_then(|schema| schema.as_ref().ok()).map_or(&[][..], Vec::as_slice);
    look::askable(foreign(uses).into_keys())
}

#[derive(Default)]
struct Checked {
    findings: Vec<Finding>,
    /// What could not be found out; one sentence each.
    unsure: Vec<String>,
    /// Classes whose search has not ended.
    open: Vec<String>,
    /// Why a roll-back will not be possible in some cases.
    limit: Option<String>,
}

fn check(observed: &Observed) -> Option<Checked> {
    let names = &observed.ring.as_ref()?.names;
    let target = Version::parse(&observed.target.as_ref()?.spec.version).ok()?;
    let mut checked = Checked::default();
    match names.schema.as_ref()? {
        Ok(uses) => {
            checked.findings.extend(unknown_to(&target, uses));
            checked.image(observed, uses);
        }
        Err(why) => checked.unsure.push(format!("the schema could not be asked for: {why}")),
    }
    match &names.settings {
        Some(Ok(settings)) => {
            checked.findings.extend(not_loaded_by(&target, settings));
            checked.limit = observed.current.as_deref().and_then(|current| limit(current, &target, settings));
        }
        Some(Err(why)) => checked.unsure.push(format!("the settings could not be read: {why}")),
        None => {}
    }
    Some(checked)
}

impl Checked {
    /// Checks the classes of the user's. If the pods may bring classes of their own, the image alone does not tell.
    fn image(&mut self, observed: &Observed, uses: &[Use]) {
        let foreign = foreign(uses);
        let Some(target) = observed.target.as_deref().map(release).filter(|_| !foreign.is_empty()) else {
            return;
        };
        if observed.racks.iter().any(|rack| rack.brings_classes) {
            let classes: Vec<String> = foreign.into_keys().collect();
            self.unsure.push(format!(
                "{} may come with a volume or a variable of the pods, where nobody looks",
                list(&classes, "class")
            ));
            return;
        }
        let pull_pods = || observed.pull_pods.iter().filter(|pull_pod| pull_pod.image == target.image);
        let mut unseen = vec![];
        for (class, uses) in foreign {
            let answers = pull_pods().filter(|pull_pod| pull_pod.look.asked.contains(&class));
            let found: Vec<bool> =
                answers.filter_map(|pull_pod| Some(pull_pod.look.found.as_ref()?.contains(&class))).collect();
            if found.is_empty() {
                unseen.push(class);
            } else if found.contains(&false) {
                self.findings.extend(uses.into_iter().map(|it| schema::absent(it, &class, &target.image)));
            }
        }
        if unseen.is_empty() {
            return;
        }
        if image_pull::before(observed, &target).is_some() {
            self.open = unseen;
        } else {
            let classes = list(&unseen, "class");
            self.unsure.push(format!("image {} could not be looked into for {classes}", target.image));
        }
    }

    fn refusal(&self, observed: &Observed) -> Option<String> {
        if self.findings.is_empty() {
            return None;
        }
        let name = release(observed.target.as_deref()?).name;
        let named: Vec<String> = self.findings.iter().take(NAMED).map(Finding::to_string).collect();
        let more = match self.findings.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        Some(format!("CassandraVersion {name} does not know what is in use: {}{more}", named.join("; ")))
    }
}

/// A warning if a roll-back is limited. For a roll-back to an older release line, the provisioner's `commit_log.rs` makes the
/// commit log of a killed node readable for the source; it cannot do that if the log is compressed or encrypted.
fn limit(source: &CassandraVersion, target: &Version, settings: &[Setting]) -> Option<String> {
    let hiding = settings.iter().find(|setting| settings::hides_the_commit_log(setting))?;
    let source = Version::parse(&source.spec.version).ok()?;
    ((source.major, source.minor) < (target.major, target.minor)).then(|| {
        format!(
            "the target knows what the schema and the settings name. With {} of {} a node that is killed while it runs {target}, \
             instead of stopped, cannot go back to {source}: its commit log cannot be made readable for that release. To have the \
             way back from there too, leave the setting out during the update",
            hiding.key, hiding.origin
        )
    })
}

/// The classes of the user's, and where each is used.
fn foreign(uses: &[Use]) -> BTreeMap<String, BTreeSet<&Use>> {
    let mut classes: BTreeMap<String, BTreeSet<&Use>> = BTreeMap::new();
    for it in uses {
        for class in schema::foreign(it) {
            classes.entry(class).or_default().insert(it);
        }
    }
    classes
}

fn list(names: &[String], one: &str) -> String {
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    format!("{one} {}{more}", first.join(", "))
}

#[cfg(test)]
mod tests;
