//! The halt: the contract between the two operators, as pure rules.
//!
//! 1. The ops-manager (or a user) sets `spec.halted` on a [`Cassandra`].
//! 2. The provisioner acknowledges it with the condition `Paused` for exactly the generation that carries the halt. From then
//!    on it changes nothing that belongs to the Cassandra.
//! 3. The ops-manager acts only after that acknowledgement.
//!
//! The ops-manager writes the UID of its request into the annotation [`HALTED_BY`], in the same patch as `spec.halted`, so that it
//! recognizes its own halt after a crash. A halt without the annotation is the user's, and only the user lifts it.
//!
//! While the annotation is set, the provisioner stays paused even if somebody else has lifted the halt. Otherwise it would
//! give the PetSets their old image back before the ops-manager halts the Cassandra again.

use kube::ResourceExt;

use crate::Cassandra;
use crate::cassandra::condition_type::PAUSED;
use crate::condition::{self, Statement};

/// Annotation on a halted Cassandra: UID of the CassandraOpsRequest that has set the halt.
pub const HALTED_BY: &str = "ops.kubedb.com/halted-by";

/// Who has halted a Cassandra.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Halt {
    /// Nobody: `spec.halted` is false.
    None,
    /// The user.
    User,
    /// The request with this UID.
    Request(String),
}

impl Halt {
    /// Reads the halt of a Cassandra.
    pub fn of(cassandra: &Cassandra) -> Self {
        if !cassandra.spec.halted {
            return Self::None;
        }
        match cassandra.annotations().get(HALTED_BY) {
            Some(uid) => Self::Request(uid.clone()),
            None => Self::User,
        }
    }

    /// Whether it is the halt of the request with this UID.
    pub fn is_of(&self, request_uid: &str) -> bool {
        matches!(self, Self::Request(uid) if uid == request_uid)
    }
}

/// May the provisioner change what belongs to this Cassandra? A deletion goes ahead even under a halt, since the user asked
/// for it.
///
/// A tool that applies a manifest with `halted: false` every few seconds lifts the halt of a request again and again. The
/// annotation [`HALTED_BY`] stays and keeps the provisioner paused until the request has ended or is found to be gone.
pub fn provisioner_may_write(cassandra: &Cassandra) -> bool {
    let held = cassandra.spec.halted || cassandra.annotations().contains_key(HALTED_BY);
    !held || cassandra.metadata.deletion_timestamp.is_some()
}

/// The right of the provisioner to change what belongs to a Cassandra. Only [`WritePermit::of`] gives one, so that a new writer
/// cannot forget the halt.
#[derive(Clone, Copy, Debug)]
pub struct WritePermit<'a>(&'a Cassandra);

impl<'a> WritePermit<'a> {
    /// `None` while the Cassandra is halted.
    pub fn of(cassandra: &'a Cassandra) -> Option<Self> {
        provisioner_may_write(cassandra).then_some(Self(cassandra))
    }

    /// The Cassandra that it is for.
    pub fn cassandra(self) -> &'a Cassandra {
        self.0
    }
}

/// Does the cached Cassandra have the generation that the API server has now?
///
/// The caches of different kinds are not in step: a provisioner that does not see a halt yet may already see what was done
/// under it, and would undo that. Therefore the provisioner reads the Cassandra once per generation before acting on it. A
/// later halt raises the generation, and this process must acknowledge it before it takes effect.
pub fn is_newest(cached: &Cassandra, newest: Option<&Cassandra>) -> bool {
    newest.is_some_and(|newest| {
        newest.metadata.uid == cached.metadata.uid && newest.metadata.generation == cached.metadata.generation
    })
}

/// The provisioner's condition `Paused`. `None` leaves the conditions alone: the Cassandra was never halted.
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

/// Has the provisioner acknowledged the halt of exactly this generation?
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
        halted.annotations_mut().insert(HALTED_BY.to_owned(), "u1".to_owned());
        assert!(Halt::of(&halted).is_of("u1"));
        assert!(!Halt::of(&halted).is_of("u2"));
        halted.spec.halted = false;
        assert_eq!(Halt::of(&halted), Halt::None);
    }

    #[test]
    fn a_halt_that_somebody_else_lifts_holds_the_provisioner_until_the_request_lets_go() {
        let mut lifted = answered(cassandra(2, true));
        lifted.annotations_mut().insert(HALTED_BY.to_owned(), "u1".to_owned());
        lifted.metadata.generation = Some(3);
        lifted.spec.halted = false;
        assert!(!provisioner_may_write(&lifted) && !is_answered(&lifted));
        let told = answer(&lifted).unwrap();
        assert!(told.status && told.message.contains("lifted by somebody else"), "{told:?}");
        lifted.annotations_mut().remove(HALTED_BY);
        assert!(provisioner_may_write(&lifted) && !answer(&lifted).unwrap().status);
    }

    #[test]
    fn a_deletion_is_stronger_than_a_halt() {
        let mut halted = cassandra(2, true);
        halted.metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
        assert!(provisioner_may_write(&halted));
    }
}
