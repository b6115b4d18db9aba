use std::fmt;

/// A name and password to log in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the role, with its exact case.
    pub username: String,
    /// Password of the role.
    pub password: String,
}

/// Leaves out the password, so that neither a log nor an error prints it.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_hold_the_password() {
        let credentials = Credentials { username: "admin".into(), password: "hunter2".into() };
        assert_eq!(format!("{credentials:?}"), r#"Credentials { username: "admin", .. }"#);
    }
}
