//! The settings of a node (`cassandra.yaml`): how they are read and overlaid, which of them only the operator may set, and where a
//! pod finds them.
//!
//! It is what the builders of the objects share with `render-config`, which runs in the pods. It reads no file and asks nobody.

mod exclusive;
pub mod layout;
mod members;
pub mod owned;
mod spelling;
pub mod yaml;

pub use members::Members;

use serde_yaml::{Mapping, Value};

/// Value of a setting in the user's settings, if it is a number or text; `None` if they cannot be parsed.
pub fn value(settings: &str, setting: &str) -> Option<String> {
    match yaml::parse(settings).ok()?.get(setting)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first problem in the user's settings that does not depend on the image: one that would prevent a node from starting, or
/// that a `new` ring must not be created with.
pub fn problem(settings: &str, new: bool) -> Option<String> {
    let checked = yaml::parse(settings).and_then(|user| {
        if new { owned::check_new(&user) } else { owned::check(&user) }?;
        yaml::lay_over(&mut Mapping::new(), user)
    });
    checked.err()
}

#[cfg(test)]
mod tests;
