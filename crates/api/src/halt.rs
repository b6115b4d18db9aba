//! The halt: the contract between the two operators, as pure rules.
//!
//! The ops-manager (or a user) sets `spec.halted` on a [`Cassandra`]; the provisioner answers with the condition
//! `Paused` for the very generation that carries the halt, and from then on changes nothing that belongs to it.
//! The ops-manager acts only after that answer. A halt that the ops-manager set carries the UID of its request in the
//! annotation [`OWNER`], written in one patch with the field: after a crash it knows its own halt, and a halt without
//! the annotation is the user's, which nobody but the user lifts. While the annotation is there, the provisioner keeps still
//! also where somebody else has lifted the halt: between that and the next halt no PetSet may get its old image back.

use kube::ResourceExt;

use crate::Cassandra;
use crate::cassandra::condition_type::PAUSED;
use crate::condition::{self, Statement};

/// Annotation on a halted Cassandra: UID of the CassandraOpsRequest whose halt this is.
pub const OWNER: &str = "ops.kubedb.com/halted-by";

/// Whose halt a Cassandra is under.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Halt {
    /// Nobody's: the provisioner works.
    None,
    /// The user's.
    User,
    /// That of the request with this UID.
    Request(String),
}

impl Halt {
    /// Reads the halt of a Cassandra.
    pub fn of(cassandra: &Cassandra) -> Self {
        if !cassandra.spec.halted {
            return Self::None;
        }
        match cassandra.annotations().get(OWNER) {
            Some(uid) => Self::Request(uid.clone()),
            None => Self::User,
        }
    }

    /// Whether it is the halt of the request with this UID.
    pub fn is_of(&self, request_uid: &str) -> bool {
        matches!(self, Self::Request(uid) if uid == request_uid)
    }
}

/// May the provisioner change what belongs to this Cassandra? A deletion is the user's stronger word: it goes ahead.
///
/// A manifest that says `halted: false` and is applied every few seconds lifts the halt of a request again and again. Its mark
/// stays, and goes when the request has ended or somebody finds that it has none.
pub fn provisioner_may_write(cassandra: &Cassandra) -> bool {
    let held = cassandra.spec.halted || cassandra.annotations().contains_key(OWNER);
    !held || cassandra.metadata.deletion_timestamp.is_some()
}

/// Is a cached Cassandra of the generation that the API server has now?
///
/// The caches of kinds run apart: a provisioner that has not seen a halt yet, but has seen what was done under it, would
/// undo it. So it asks once per generation before it acts on it: the next one can only bring a halt that this process
/// has to answer first.
pub fn is_newest(cached: &Cassandra, newest: Option<&Cassandra>) -> bool {
    newest.is_some_and(|newest| {
        newest.metadata.uid == cached.metadata.uid && newest.metadata.generation == cached.metadata.generation
    })
}

/// What the provisioner answers: `None` leaves the conditions alone (never halted so far).
pub fn answer(cassandra: &Cassandra) -> Option<Statement> {
    let conditions = cassandra.status.as_ref().map_or(&[][..], |s| &s.conditions);
    let halted = !provisioner_may_write(cassandra);
    if !halted && condition::get(conditions, PAUSED).is_none() {
        return None;
    }
    let (reason, message) = if halted && !cassandra.spec.halted {
        (
            "Paused",
            "the halt of a CassandraOpsRequest was lifted by somebody else: the provisioner changes nothing that belongs to this \
             Cassandra until the ops-manager has ended that request",
        )
    } else if halted {
        ("Paused", "spec.halted is true: the provisioner changes nothing that belongs to this Cassandra")
    } else {
        ("Resumed", "spec.halted is false: the provisioner is at work")
    };
    Some(Statement {
        type_: PAUSED.to_owned(),
        status: halted,
        reason: reason.to_owned(),
        message: message.to_owned(),
        generation: cassandra.metadata.generation,
    })
}

/// Has the provisioner answered the halt that this very generation carries?
pub fn is_answered(cassandra: &Cassandra) -> bool {
    let conditions = cassandra.status.as_ref().map_or(&[][..], |s| &s.conditions);
    cassandra.spec.halted
        && condition::get(conditions, PAUSED).is_some_and(|paused| {
            paused.status == "True" && paused.observed_generation == cassandra.metadata.generation
        })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn cassandra(generation: i64, halted: bool) -> Cassandra {
        let mut cassandra = Cassandra::default();
        cassandra.metadata.generation = Some(generation);
        cassandra.spec.halted = halted;
        cassandra
    }

    fn answered(mut cassandra: Cassandra) -> Cassandra {
        let now = Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
        if let Some(statement) = answer(&cassandra) {
            condition::set(&mut cassandra.status.get_or_insert_default().conditions, statement, &now);
        }
        cassandra
    }

    #[test]
    fn a_cassandra_that_was_never_halted_needs_no_answer() {
        assert_eq!(answer(&cassandra(1, false)), None);
    }

    #[test]
    fn an_answer_counts_for_its_own_generation_only() {
        let mut halted = answered(cassandra(2, true));
        assert!(is_answered(&halted));
        halted.metadata.generation = Some(3);
        assert!(!is_answered(&halted));
        assert!(is_answered(&answered(halted)));
    }

    #[test]
    fn a_lifted_halt_is_answered_with_false() {
        let mut resumed = answered(cassandra(2, true));
        resumed.metadata.generation = Some(3);
        resumed.spec.halted = false;
        let resumed = answered(resumed);
        assert!(!is_answered(&resumed));
        assert!(!condition::is_true(&resumed.status.unwrap().conditions, PAUSED));
    }

    #[test]
    fn a_halt_without_owner_is_the_users() {
        let mut halted = cassandra(2, true);
        assert_eq!(Halt::of(&halted), Halt::User);
        halted.annotations_mut().insert(OWNER.to_owned(), "u1".to_owned());
        assert!(Halt::of(&halted).is_of("u1"));
        assert!(!Halt::of(&halted).is_of("u2"));
        halted.spec.halted = false;
        assert_eq!(Halt::of(&halted), Halt::None);
    }

    #[test]
    fn a_halt_that_somebody_else_lifts_holds_the_provisioner_until_the_request_lets_go() {
        let mut lifted = answered(cassandra(2, true));
        lifted.annotations_mut().insert(OWNER.to_owned(), "u1".to_owned());
        lifted.metadata.generation = Some(3);
        lifted.spec.halted = false;
        assert!(!provisioner_may_write(&lifted) && !is_answered(&lifted));
        let told = answer(&lifted).unwrap();
        assert!(told.status && told.message.contains("lifted by somebody else"), "{told:?}");
        lifted.annotations_mut().remove(OWNER);
        assert!(provisioner_may_write(&lifted) && !answer(&lifted).unwrap().status);
    }

    #[test]
    fn a_deletion_is_stronger_than_a_halt() {
        let mut halted = cassandra(2, true);
        halted.metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
        assert!(provisioner_may_write(&halted));
    }
}
