//! `CassandraVersion`: the catalog, and which updates it allows.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

/// A version of Cassandra that can be run.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "catalog.kubedb.com",
    version = "v1alpha1",
    kind = "CassandraVersion",
    plural = "cassandraversions",
    singular = "cassandraversion",
    shortname = "casversion",
    category = "catalog",
    category = "kubedb",
    category = "appscode",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "DB_IMAGE", type_ = "string", json_path = ".spec.db.image"),
    printcolumn(name = "Deprecated", type_ = "boolean", json_path = ".spec.deprecated"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct CassandraVersionSpec {
    /// The release, such as `4.1.10`: what a node of this image reports of itself.
    #[schemars(regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"))]
    pub version: String,
    /// The image of the database, laid out like the official one.
    pub db: Image,
    /// No Cassandra may be updated to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// Upstream makes no more releases of this line. For information.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_of_life: bool,
    /// The user that the image is made for.
    #[serde(default)]
    pub security_context: SecurityContext,
    /// Where an update from this version may go.
    #[serde(default)]
    pub update_constraints: UpdateConstraints,
}

/// An image.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Image {
    /// Reference of the image.
    #[schemars(length(min = 1))]
    pub image: String,
}

/// The user that an image is made for.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContext {
    /// Numeric user, 999 in the official image.
    #[serde(default = "official_user")]
    #[schemars(range(min = 1))]
    pub run_as_user: i64,
}

fn official_user() -> i64 {
    999
}

impl Default for SecurityContext {
    fn default() -> Self {
        Self { run_as_user: official_user() }
    }
}

/// Ranges of versions such as `>= 4.1.8, < 5.1.0`, alternatives separated by `||`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct UpdateConstraints {
    /// Any of these must match; empty allows all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowlist: Vec<String>,
    /// None of these may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denylist: Vec<String>,
}

/// Why a Cassandra cannot be updated from one version to another.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoPath {
    /// Both are the same object. (Another object with the same release is another build of it, and may be updated to.)
    #[error("it has version {0} already")]
    Identical(String),
    /// Cassandra cannot read what a later release has written.
    #[error("{target} is older than {current}: Cassandra does not support a downgrade")]
    Downgrade {
        /// What runs.
        current: Version,
        /// What was asked for.
        target: Version,
    },
    /// Cassandra reads the data of its own and of the previous major release only.
    #[error(
        "{target} cannot follow {current}: Cassandra is updated to the same or the next major version only"
    )]
    SkipsMajor {
        /// What runs.
        current: Version,
        /// What was asked for.
        target: Version,
    },
    /// The `updateConstraints` of the current version exclude the target.
    #[error("the updateConstraints of version {current} do not allow {target}")]
    Constrained {
        /// What runs.
        current: Version,
        /// What was asked for.
        target: Version,
    },
    /// The target is deprecated.
    #[error("CassandraVersion {0} is deprecated")]
    Deprecated(String),
    /// A version or a range in the catalog cannot be parsed.
    #[error("the catalog cannot be read: {0}")]
    Malformed(String),
}

/// May a Cassandra be updated from `current` to `target`? It may go to the same or the next major version (3, 4, 5).
pub fn path(current: &CassandraVersion, target: &CassandraVersion) -> Result<(), NoPath> {
    if current.metadata.name == target.metadata.name {
        return Err(NoPath::Identical(current.metadata.name.clone().unwrap_or_default()));
    }
    let (from, to) = (parse(&current.spec.version)?, parse(&target.spec.version)?);
    if to < from {
        return Err(NoPath::Downgrade { current: from, target: to });
    }
    if to.major > from.major + 1 {
        return Err(NoPath::SkipsMajor { current: from, target: to });
    }
    if target.spec.deprecated {
        return Err(NoPath::Deprecated(target.metadata.name.clone().unwrap_or_default()));
    }
    let UpdateConstraints { allowlist, denylist } = &current.spec.update_constraints;
    if (allowlist.is_empty() || any_matches(allowlist, &to)?) && !any_matches(denylist, &to)? {
        Ok(())
    } else {
        Err(NoPath::Constrained { current: from, target: to })
    }
}

fn parse(version: &str) -> Result<Version, NoPath> {
    Version::parse(version).map_err(|e| NoPath::Malformed(format!("version {version:?}: {e}")))
}

fn any_matches(ranges: &[String], version: &Version) -> Result<bool, NoPath> {
    for range in ranges.iter().flat_map(|r| r.split("||")) {
        let requirement =
            requirement(range).map_err(|e| NoPath::Malformed(format!("constraint {range:?}: {e}")))?;
        if requirement.matches(version) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// KubeDB's ranges are written for a library that takes a bare version for exactly that version. The crate `semver` takes it
/// for any compatible one.
fn requirement(range: &str) -> Result<VersionReq, semver::Error> {
    let exact = |part: &str| {
        let part = part.trim();
        let bare = part.starts_with(|c: char| c.is_ascii_digit()) && Version::parse(part).is_ok();
        if bare { format!("={part}") } else { part.to_owned() }
    };
    VersionReq::parse(&range.split(',').map(exact).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: &str, allow: &[&str], deny: &[&str]) -> CassandraVersion {
        let mut object = CassandraVersion::new(version, CassandraVersionSpec::default());
        object.spec.version = version.to_owned();
        object.spec.update_constraints.allowlist = allow.iter().map(ToString::to_string).collect();
        object.spec.update_constraints.denylist = deny.iter().map(ToString::to_string).collect();
        object
    }

    fn say(from: &CassandraVersion, to: &str) -> String {
        path(from, &version(to, &[], &[])).map_or_else(|e| e.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn an_update_goes_to_the_same_or_the_next_major() {
        let from = version("4.1.10", &[], &[]);
        assert_eq!(say(&from, "4.1.11"), "ok");
        assert_eq!(say(&from, "5.0.6"), "ok");
        assert!(say(&from, "6.0.0").contains("the same or the next major"));
        assert!(say(&version("3.11.19", &[], &[]), "5.0.6").contains("the same or the next major"));
        assert_eq!(say(&version("3.11.19", &[], &[]), "4.1.10"), "ok");
    }

    #[test]
    fn back_and_nowhere_are_refused() {
        let from = version("4.1.10", &[], &[]);
        assert!(say(&from, "4.1.9").contains("downgrade"));
        assert!(say(&from, "4.1.10").contains("already"));
    }

    #[test]
    fn another_build_of_the_same_release_is_a_way_to_go() {
        let mut rebuilt = version("4.1.10", &[">= 4.1.10"], &[]);
        rebuilt.metadata.name = Some("4.1.10-rebuilt".to_owned());
        assert_eq!(path(&version("4.1.10", &[">= 4.1.10"], &[]), &rebuilt), Ok(()));
        assert_eq!(path(&rebuilt, &version("4.1.10", &[], &[])), Ok(()));
        assert!(say(&rebuilt, "4.1.9").contains("downgrade"));
    }

    #[test]
    fn the_constraints_of_the_current_version_rule() {
        assert_eq!(say(&version("4.1.8", &[">= 4.1.8"], &[]), "5.0.6"), "ok");
        assert!(say(&version("4.1.8", &[">= 4.1.8, < 5.0.0"], &[]), "5.0.6").contains("updateConstraints"));
        assert!(say(&version("4.1.8", &["4.1.9 || 4.1.10"], &[]), "4.1.11").contains("updateConstraints"));
        assert_eq!(say(&version("4.1.8", &["4.1.9 || 4.1.10"], &[]), "4.1.10"), "ok");
        assert!(say(&version("4.1.8", &[], &["5.0.6"]), "5.0.6").contains("updateConstraints"));
        assert!(say(&version("4.1.8", &["many"], &[]), "5.0.6").contains("cannot be read"));
    }

    #[test]
    fn a_deprecated_target_is_refused() {
        let mut target = version("4.1.11", &[], &[]);
        target.spec.deprecated = true;
        assert_eq!(path(&version("4.1.10", &[], &[]), &target), Err(NoPath::Deprecated("4.1.11".to_owned())));
    }
}
