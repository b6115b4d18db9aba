//! A ring on two releases, or one that a failed roll-back has left halted, is left to an update: no other request lifts that halt, and
//! no node gets the template of another release.

use api::halt::Halt;

use crate::observe::Observed;
use crate::step::{Step, waiting};

const TAKES_OVER: &str = "only a CassandraOpsRequest of type UpdateVersion with apply: Always takes over";

/// The wait until an update has taken over, if one must.
pub(crate) fn awaited(observed: &Observed) -> Option<Step> {
    let preflight = Some("preflight".to_owned());
    let cassandra = observed.cassandra.as_deref()?;
    if let Halt::Request(_) = Halt::of(cassandra) {
        let message = format!(
            "the Cassandra is halted by a CassandraOpsRequest that has ended without lifting its halt; {TAKES_OVER}"
        );
        return Some(waiting("HaltedByRequest", message, preflight));
    }
    let (ring, version) = (observed.ring.as_ref()?, &observed.current.as_ref()?.spec.version);
    let (pod, release) = ring.releases.iter().find(|(_, release)| release.to_string() != *version)?;
    let name = &cassandra.spec.version;
    let message =
        format!("pod {pod} runs release {release}, but the Cassandra has version {name}; {TAKES_OVER}");
    Some(waiting("OtherRelease", message, preflight))
}
