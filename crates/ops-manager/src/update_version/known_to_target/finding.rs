//! What is wrong with something in use.

use std::fmt;

/// Something that a release does not know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Where it is named: `table shop.orders`.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// What helps.
    pub help: String,
    /// A node does not start with it, or forgets tables. Otherwise something of the user's does not work.
    pub fatal: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.what, self.why, self.help)
    }
}
