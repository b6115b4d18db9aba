//! What a controller must know about an error.

use std::error::Error;

/// Why a reconcile failed, and when to try again.
pub trait Failure: Error {
    /// Short name in CamelCase: reason of the event and label of the metric, so never made from data.
    fn reason(&self) -> &'static str;

    /// When to try again.
    fn retry(&self) -> Retry;
}

/// When to try again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Only after a change: trying again would give the same result.
    Never,
    /// Almost at once, without a warning: the object was newer than our cached version of it.
    Soon,
    /// After a while, without a warning: the object is deleted with its namespace.
    Quietly,
    /// Later, and ever later while it keeps failing.
    Backoff,
}

/// The error and its causes in one line, each cause once.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !chain.contains(&text) {
            chain = format!("{chain}: {text}");
        }
        source = cause.source();
    }
    chain
}
