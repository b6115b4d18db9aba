//! A problem with something in use.

use std::fmt;

/// Something in use that a release does not know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Where it is used: `table shop.orders`.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// What the user can do about it.
    pub help: String,
    /// A node would not start with it, or would lose tables. Otherwise only something of the user's stops working.
    pub fatal: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.what, self.why, self.help)
    }
}
