//! Operator.

fn main() {}
