//! Why a spec is not carried out.

/// Why a ring cannot be provisioned as the spec says: shown in the status until the user changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// CamelCase reason of a condition.
    pub reason: &'static str,
    /// What is wrong with which field or object, and what to do.
    pub message: String,
}

impl Refusal {
    /// A reason and its message.
    pub fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }
}
