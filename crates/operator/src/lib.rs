//! What a binary needs to be an operator: client, leader election, apply, caches, metrics, probes.
