//! UpdateVersion: the pods run another release.

mod goal;
mod way_back;

use api::halt::Halt;
use api::ops_request::{Release, UpdateVersionRecord};
use api::version::{self, NoPath};
use api::{Cassandra, PetSet};
use kube::ResourceExt;
use semver::Version;

use self::goal::Goal;
use super::{Names, Operation, Way};
use crate::observe::node::Node;
use crate::observe::{Observed, Rack, release};
use crate::preparation::{image_pull, known_to_target};
use crate::step::{Commit, Intent, PULL_IMAGE, Step};

/// The type.
pub(crate) struct Kind;

impl super::Kind for Kind {
    fn lack(&self, observed: &Observed) -> Option<(&'static str, String)> {
        if observed.current.is_none() {
            let cassandra = observed.cassandra.as_ref()?;
            let message = format!(
                "Cassandra {}: there is no CassandraVersion {}, which it has",
                cassandra.name_any(),
                cassandra.spec.version
            );
            return Some(("VersionNotFound", message));
        }
        observed.target.is_none().then(|| {
            let asked = observed.request.spec.update_version.as_ref();
            let message = format!(
                "spec.updateVersion.targetVersion: there is no CassandraVersion {}; kubectl get casversion lists them",
                asked.map_or("", |update| update.target_version.as_str())
            );
            ("VersionNotFound", message)
        })
    }

    fn refusal(&self, observed: &Observed) -> Option<(&'static str, String)> {
        let halt = observed.cassandra.as_deref().map(Halt::of);
        match version::path(observed.current.as_deref()?, observed.target.as_deref()?) {
            Ok(()) => None,
            // The request whose halt this is could not finish. Going to the version that the spec already names is the way out.
            Err(NoPath::Identical(_)) if matches!(halt, Some(Halt::Request(_))) => None,
            Err(no_path) => {
                Some((reason_of(&no_path), format!("spec.updateVersion.targetVersion: {no_path}")))
            }
        }
    }

    fn change(&self, observed: &Observed, petset: &mut PetSet, _waiting: Option<&PetSet>) {
        if let Some(target) = observed.target.as_deref() {
            desired::set_release(&mut petset.spec.template, &target.spec.db.image, None);
        }
    }

    fn asks_names(&self) -> bool {
        true
    }

    fn check(&self, observed: &Observed) -> Option<Step> {
        known_to_target::refused(observed)
    }

    fn prepare(&self, observed: &Observed) -> Option<Step> {
        image_pull::before(observed, &release(observed.target.as_deref()?))
    }

    fn conditions(&self, observed: &Observed) -> Vec<(&'static str, (bool, &'static str, String))> {
        let found = [
            (known_to_target::CONDITION, known_to_target::condition(observed)),
            (PULL_IMAGE, image_pull::condition(observed)),
        ];
        found.into_iter().filter_map(|(type_, condition)| Some((type_, condition?))).collect()
    }

    fn begin(&self, observed: &Observed) -> Step {
        let [source, target] =
            [&observed.current, &observed.target].map(|it| it.as_deref().map(release).unwrap_or_default());
        let message = format!("started to update from version {} to {}", source.name, target.name);
        let intent = Intent::UpdateVersion(UpdateVersionRecord {
            cassandra: observed.cassandra.as_deref().and_then(ResourceExt::uid),
            before: Some(goal::before(observed, &source, &target)),
            source,
            target,
            roll_back: None,
        });
        Step::Begin { intent, message }
    }
}

fn reason_of(no_path: &NoPath) -> &'static str {
    match no_path {
        NoPath::Identical(_) => "IdenticalVersion",
        NoPath::Downgrade { .. } => "Downgrade",
        NoPath::SkipsMajor { .. } => "UnsupportedPath",
        NoPath::Constrained { .. } => "UpdateConstraints",
        NoPath::Deprecated(_) => "DeprecatedVersion",
        NoPath::Malformed(_) => "MalformedCatalog",
    }
}

/// An update under way.
pub(crate) struct UpdateVersion<'a>(pub &'a UpdateVersionRecord);

impl UpdateVersion<'_> {
    fn goal(&self) -> Goal<'_> {
        Goal::of(self.0)
    }
}

impl Operation for UpdateVersion<'_> {
    fn names(&self) -> &'static Names {
        &Names {
            running: "RunningPod",
            renewed: "RestartPods",
            successful: "completed the update of the version",
        }
    }

    fn cassandra(&self) -> Option<&str> {
        self.0.cassandra.as_deref()
    }

    fn way(&self) -> Way<'_> {
        self.0.roll_back.as_deref().map_or(Way::Forward, Way::Back)
    }

    fn give(&self, rack: &Rack) -> Option<Step> {
        let goal = self.goal();
        let [old, new] =
            if goal.back { [&self.0.target, &self.0.source] } else { [&self.0.source, &self.0.target] };
        (!goal.has_image(rack)).then(|| Step::SetImage {
            petset: rack.petset.clone(),
            image: new.image.clone(),
            users: old.run_as_user.zip(new.run_as_user).map(<[i64; 2]>::from),
        })
    }

    fn templates(&self, observed: &Observed) -> Option<(bool, String)> {
        let goal = self.goal();
        let (all, image) = (observed.racks.len(), &goal.release.image);
        let updated = observed.racks.iter().filter(|rack| goal.has_image(rack)).count();
        (updated > 0).then(|| (updated == all, format!("{updated} of {all} PetSets have image {image}")))
    }

    fn is_renewed(&self, rack: &Rack, pod: &Node) -> bool {
        self.goal().is_renewed(rack, pod)
    }

    fn is_reached(&self, observed: &Observed) -> bool {
        self.goal().is_reached(observed)
    }

    fn on(&self) -> String {
        format!(" on image {}", self.goal().release.image)
    }

    fn wrong(&self, pod: &Node, release: &Version) -> Option<String> {
        let goal = self.goal();
        let Release { name, version, image, .. } = goal.release;
        let holds = release.to_string();
        if goal.back {
            // The cache may still show a pod as it was before the update renewed it. Any other release is ignored: a node of
            // the source reported it before the update too.
            let ahead = holds != *version && holds == self.0.target.version;
            return ahead.then(|| format!("pod {} still runs release {holds}", pod.name));
        }
        (holds != *version).then(|| {
            format!(
                "pod {}: image {image} holds release {holds}, but CassandraVersion {name} says {version}",
                pod.name
            )
        })
    }

    fn obstacle(&self, observed: &Observed) -> Option<Step> {
        way_back::held_up(observed, self.0)
    }

    fn nodes_to_ask<'o>(&self, observed: &'o Observed) -> Vec<&'o Node> {
        way_back::nodes_to_ask(observed, self.0)
    }

    /// Also during a roll-back: the late write of a leader that lost its lease may have set the target.
    fn commit(&self) -> Option<Commit> {
        Some(Commit::Version(self.goal().release.name.clone()))
    }

    fn is_committed(&self, cassandra: &Cassandra) -> bool {
        cassandra.spec.version == self.goal().release.name
    }

    fn can_stop(&self, _observed: &Observed, cassandra: &Cassandra) -> bool {
        !self.is_committed(cassandra)
    }

    fn is_over(&self, cassandra: &Cassandra) -> bool {
        let Release { name, .. } = &self.0.target;
        self.0.source.name != *name && cassandra.spec.version == *name
    }

    fn is_untouched(&self, observed: &Observed, cassandra: &Cassandra) -> bool {
        cassandra.spec.version == self.0.source.name && Goal::source(self.0).is_reached(observed)
    }

    fn outdated(&self, cassandra: &Cassandra) -> Option<String> {
        let (version, source) = (&cassandra.spec.version, &self.0.source.name);
        (version != source).then(|| {
            format!("the Cassandra has version {version} by now, and not {source} as when this request began")
        })
    }

    fn outcome(&self, observed: &Observed) -> String {
        let name = &self.goal().release.name;
        let Way::Back(cause) = self.way() else { return format!("The Cassandra has version {name}") };
        let operation: &dyn Operation = self;
        if operation.is_whole(observed) {
            return format!("{cause}. The ring is whole on version {name}, as before");
        }
        format!(
            "{cause}. The ring is on version {name}, as before, but for what is not Ready: pod {}. Kubernetes makes it of that \
             version",
            operation.missing(observed).join(", pod ")
        )
    }
}
