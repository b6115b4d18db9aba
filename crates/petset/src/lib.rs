//! PetSet controller: a PetSet becomes an apps/v1 StatefulSet of the same name, whose status it mirrors.
//!
//! The pods are made by Kubernetes' own StatefulSet controller. A PlacementPolicy that the PetSet names becomes topology
//! spread constraints and anti-affinity of the pods. Deleting a PetSet leaves the rest to the garbage collector.
//!
//! # When a reader may trust `status`
//!
//! `status` repeats that of the StatefulSet, except for `observedGeneration`, which counts generations of the *PetSet*:
//!
//! - `status.observedGeneration == metadata.generation`: the StatefulSet is as exactly this generation wants it, and the
//!   StatefulSet controller has seen that. `updateRevision` and `updatedReplicas` refer to this generation's template,
//!   and every new pod is created from it.
//! - lower: the numbers are true of the pods, but may refer to an earlier spec. It also falls below the generation
//!   when the StatefulSet had to be changed without a change of the PetSet: its PlacementPolicy was edited, or a manual
//!   edit of the StatefulSet was reverted.

mod controller;
mod desired;
mod placement;
mod status;

pub use controller::{run, watch};
