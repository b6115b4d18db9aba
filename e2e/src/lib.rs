//! End-to-end harness: a real cluster, and what the tests and the demo do with it.

pub mod report;
