//! What is in use and may be unknown to a release.

use cassandra::schema::Use;

use super::settings::Setting;

/// What the schema and the user's settings use. `None`: not asked for. An error says why it could not be found out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    /// What the schema uses.
    pub schema: Option<Result<Vec<Use>, String>>,
    /// The user's settings.
    pub settings: Option<Result<Vec<Setting>, String>>,
}
