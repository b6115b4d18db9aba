//! The steps of an update at which something can go wrong, each known by what the ops-manager writes.

use std::sync::Arc;

use e2e::proxy::{Select, Write};
use serde_json::json;

use crate::stage::PODS;

/// A step of an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    Halt,
    Image,
    /// Of the second pod: one of three is renewed.
    Eviction,
    Version,
    Resume,
}

impl Step {
    pub const ALL: [Self; 5] = [Self::Halt, Self::Image, Self::Eviction, Self::Version, Self::Resume];

    pub fn select(self) -> Select {
        Arc::new(move |write| self.is(write))
    }

    fn is(self, write: &Write) -> bool {
        let on = |resource: &str| write.resource == resource;
        match self {
            Self::Halt => on("cassandras") && write.value("/spec/halted") == Some(&json!(true)),
            Self::Image => on("petsets"),
            Self::Eviction => on("pods/eviction") && write.name == PODS[1],
            Self::Version => on("cassandras") && write.value("/spec/version").is_some(),
            Self::Resume => on("cassandras") && write.value("/spec/halted") == Some(&json!(false)),
        }
    }
}
