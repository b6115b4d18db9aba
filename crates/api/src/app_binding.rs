//! `AppBinding`: how an application finds a database (KubeDB's app catalog).

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a database is and which Secret opens it.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "appcatalog.appscode.com",
    version = "v1alpha1",
    kind = "AppBinding",
    plural = "appbindings",
    singular = "appbinding",
    category = "catalog",
    category = "appscode",
    category = "all",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct AppBindingSpec {
    /// Kind of application: `kubedb.com/cassandra`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Version of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The object that stands for the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_ref: Option<TypedReference>,
    /// How to connect.
    pub client_config: ClientConfig,
    /// The Secret with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
}

/// How to connect.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ClientConfig {
    /// The Service to connect to, in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
}

/// A Service and its port.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ServiceReference {
    /// Name of the Service.
    pub name: String,
    /// Port of the Service.
    pub port: i32,
    /// Scheme of the connection, by KubeDB's convention `http` for a Cassandra without TLS.
    pub scheme: String,
}

/// Any object.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypedReference {
    /// Group of the object.
    pub api_group: String,
    /// Kind of the object.
    pub kind: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

/// A Secret in the same namespace.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SecretRef {
    /// Always `Secret`.
    pub kind: String,
    /// Name of the Secret.
    pub name: String,
}
