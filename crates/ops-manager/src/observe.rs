//! The input of the decision: a snapshot of the request, the Cassandra, its pods and, if asked for, the nodes' answers.

pub mod node;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ops_request::{NodeSize, Release};
use api::petset::PetSet;
use api::{Cassandra, CassandraOpsRequest, CassandraVersion, names};
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use semver::Version;

use self::node::{Node, image, node};
use crate::preparation::known_to_target::names::Names;
use crate::preparation::pull_pod::PullPod;
use crate::turn::Turn;

/// A snapshot of everything that the next step depends on.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The present time.
    pub now: Timestamp,
    /// When this replica began to lead, by the same clock as `now`.
    pub since: Timestamp,
    /// The request.
    pub request: Arc<CassandraOpsRequest>,
    /// Its turn among the other requests.
    pub turn: Turn,
    /// The Cassandra.
    pub cassandra: Option<Arc<Cassandra>>,
    /// UIDs of the other unfinished requests for the same Cassandra.
    pub unfinished: Vec<String>,
    /// The Cassandra's present version.
    pub current: Option<Arc<CassandraVersion>>,
    /// The version that an update targets.
    pub target: Option<Arc<CassandraVersion>>,
    /// The racks, in the order of the spec.
    pub racks: Vec<Rack>,
    /// Pods of this request that pull an image.
    pub pull_pods: Vec<PullPod>,
    /// The nodes' answers, if the decision asked for them.
    pub ring: Option<Ring>,
    /// Whether the API server would accept the renewed pods, if the decision asked for it.
    pub admission: Option<Admission>,
}

impl Observed {
    /// The Cassandra, unless it is gone or being deleted.
    pub(crate) fn alive(&self) -> Option<&Cassandra> {
        self.cassandra.as_deref().filter(|cassandra| cassandra.metadata.deletion_timestamp.is_none())
    }

    /// Number of nodes that the ring should have.
    pub(crate) fn nodes(&self) -> usize {
        self.racks.iter().map(|rack| rack.replicas).sum()
    }

    /// All pods, each with its rack.
    pub(crate) fn pods(&self) -> impl Iterator<Item = (&Rack, &Node)> {
        self.racks.iter().flat_map(|rack| rack.pods.iter().map(move |pod| (rack, pod)))
    }
}

/// The state of a rack.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts that do not depend on each other")]
pub struct Rack {
    /// Name of its PetSet.
    pub petset: String,
    /// Number of nodes that it should have.
    pub replicas: usize,
    /// It has no volumes, so a renewed pod would lose its data.
    pub ephemeral: bool,
    /// Database image in the template of the PetSet; `None` if there is no PetSet.
    pub image: Option<String>,
    /// Size of the nodes in the template of the PetSet.
    pub size: Option<NodeSize>,
    /// Its pods have `imagePullPolicy: Never`: the image must already be on their Kubernetes node.
    pub never_pulls: bool,
    /// Its pods may use classes that are not in the image: from a user's volume, or through an environment variable.
    pub brings_classes: bool,
    /// Revision of the present template, which new pods get; `None` until the controllers have observed that template.
    pub revision: Option<String>,
    /// Its template lacks changes that follow from the spec of the Cassandra, its version, or the release of the operators.
    pub waits: bool,
    /// Its pods by ordinal.
    pub pods: Vec<Node>,
}

impl Rack {
    /// Whether the pod was made from another template than the present one.
    pub(crate) fn has_other_template_than(&self, pod: &Node) -> bool {
        self.revision.as_ref().is_some_and(|revision| *revision != pod.revision)
    }

    /// The names of all pods that it should have.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        (0..i32::try_from(self.replicas).unwrap_or(i32::MAX)).map(|ordinal| names::pod(&self.petset, ordinal))
    }
}

/// The answers of all nodes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ring {
    /// Why the ring is not whole: not all nodes are up, or they do not agree.
    pub problems: Vec<String>,
    /// The release that each node reports, by pod.
    pub releases: BTreeMap<String, Version>,
    /// Whether every keyspace has enough copies. Only asked for before a request begins.
    pub copies: Copies,
    /// What the schema and the user's settings use. Only asked for before an update begins, and before a roll-back.
    pub names: Names,
    /// Resource version of the Secret `spec.configuration.secretName`. Only asked for before a request begins; `None` if there is none.
    pub settings: Option<String>,
}

/// Whether all keyspaces stay available while one node is down.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Copies {
    /// All are available at QUORUM.
    #[default]
    Enough,
    /// These are not; part of a sentence for each.
    TooFew(Vec<String>),
    /// It could not be found out: why.
    Unknown(String),
}

/// Whether the API server would accept the renewed pods.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Admission {
    /// It would, or that could not be found out.
    Fine,
    /// It would not: its message.
    Refused(String),
    /// It cannot answer at the moment: its message.
    Unclear(String),
}

/// Builds the racks of a Cassandra from its PetSets and pods. `built` are the PetSets that follow from its spec.
pub fn racks(
    cassandra: &Cassandra,
    built: &[PetSet],
    petset: impl Fn(&str) -> Option<Arc<PetSet>>,
    pod: impl Fn(&str) -> Option<Arc<Pod>>,
) -> Vec<Rack> {
    let rack = |rack: desired::Rack| {
        let found = petset(&rack.petset);
        let built = built.iter().find(|built| built.name_any() == rack.petset);
        Rack {
            replicas: usize::try_from(rack.replicas).unwrap_or_default(),
            ephemeral: rack.storage.is_none(),
            image: found.as_deref().and_then(template_image),
            size: found.as_deref().and_then(|found| desired::size(&found.spec.template)),
            never_pulls: found.as_deref().is_some_and(never_pulls),
            brings_classes: found.as_deref().is_some_and(brings_classes),
            revision: found.as_deref().and_then(PetSet::revision).map(str::to_owned),
            waits: built.zip(found.as_deref()).is_some_and(|(built, found)| desired::waits(built, found)),
            pods: (0..rack.replicas)
                .filter_map(|ordinal| pod(&names::pod(&rack.petset, ordinal)))
                .map(|pod| node(&pod))
                .collect(),
            petset: rack.petset,
        }
    };
    desired::racks(cassandra).into_iter().map(rack).collect()
}

/// The release that a CassandraVersion describes.
pub fn release(version: &CassandraVersion) -> Release {
    Release {
        name: version.name_any(),
        version: version.spec.version.clone(),
        image: version.spec.db.image.clone(),
        run_as_user: Some(version.spec.security_context.run_as_user),
    }
}

/// The image of the template. If database and init container differ, both, so that it equals no image: each release must start
/// from its own default configuration.
fn template_image(petset: &PetSet) -> Option<String> {
    let spec = petset.spec.template.spec.as_ref()?;
    let database = image(&spec.containers, names::CONTAINER)?;
    let init = image(spec.init_containers.as_deref().unwrap_or_default(), names::INIT_CONTAINER);
    Some(match init {
        Some(init) if init != database => format!("{database} with {init}"),
        _ => database,
    })
}

fn never_pulls(petset: &PetSet) -> bool {
    database(petset).and_then(|container| container.image_pull_policy.as_deref()) == Some("Never")
}

/// Volumes that the provisioner mounts hold no classes; those of the user may.
fn brings_classes(petset: &PetSet) -> bool {
    let Some(database) = database(petset) else { return false };
    let own = ["config", names::DATA_VOLUME, "logs", "tmp"];
    let paths = ["EXTRA_CLASSPATH", "CLASSPATH", "CASSANDRA_HOME"];
    let mounts = database.volume_mounts.iter().flatten();
    let env = || database.env.iter().flatten();
    let triggers = |value: &String| value.contains("cassandra.triggers_dir");
    mounts.into_iter().any(|mount| !own.contains(&mount.name.as_str()))
        || env().any(|it| paths.contains(&it.name.as_str()) || it.value.as_ref().is_some_and(triggers))
}

fn database(petset: &PetSet) -> Option<&Container> {
    let containers = petset.spec.template.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    containers.iter().find(|container| container.name == names::CONTAINER)
}
