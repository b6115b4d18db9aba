//! What a user may say about the pods of a rack: KubeDB's pod template, less what is not supported.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, HostAlias, LocalObjectReference, PodDNSConfig, PodSecurityContext, Toleration, Volume,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pod template, laid over the pods that the provisioner builds.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels and annotations of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// Labels and annotations of the PetSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<TemplateMetadata>,
    /// The pods themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<PodSpec>,
}

/// Labels and annotations that a template adds.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct TemplateMetadata {
    /// Labels to add; those of the operator win, and may not be named for pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations to add.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The parts of a Kubernetes pod spec that can be set.
///
/// The container `cassandra` is merged into the operator's own: `env`, `volumeMounts` and `ports` by their keys,
/// all else replaced. Any other container is added as a sidecar.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.containers) || self.containers.all(c, c.name != 'cassandra' || (!has(c.image) && !has(c.command) && !has(c.args)))")
        .message("container cassandra: image, command and args are the operator's; choose the image by spec.version"),
    validation = Rule::new("!has(self.containers) || self.containers.all(c, c.name == 'cassandra' || has(c.image))")
        .message("a container other than cassandra needs an image"),
    validation = Rule::new("!has(self.volumes) || self.volumes.all(v, !(v.name in ['data', 'git-secret', 'config', 'operator-config', 'custom-config', 'logs', 'tmp']))")
        .message("volumes: the names data, git-secret, config, operator-config, custom-config, logs and tmp are reserved")
)]
pub struct PodSpec {
    /// `cassandra` and sidecars.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    /// Init containers, run before the operator's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<Container>,
    /// Further volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Labels of the nodes to run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints to tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Secrets to pull the images with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Laid over the operator's own security context of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// Priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Runtime class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Scheduler of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// A service account of the user's instead of the one that the operator makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Seconds a node may take to drain and stop; the operator's default is 300. With less than 30 a stop would be a kill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 30))]
    pub termination_grace_period_seconds: Option<i64>,
    /// Entries for the pods' hosts file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_aliases: Vec<HostAlias>,
    /// DNS policy of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]))]
    pub dns_policy: Option<String>,
    /// DNS settings of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<PodDNSConfig>,
    /// The PlacementPolicy that spreads the pods over nodes and zones; `default` if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_placement_policy: Option<PlacementPolicyRef>,
}

/// Names a [`crate::PlacementPolicy`].
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct PlacementPolicyRef {
    /// Name of the PlacementPolicy.
    pub name: String,
}
