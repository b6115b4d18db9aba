//! Reading and writing lists of conditions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// A condition without its transition time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// Type of the condition.
    pub type_: String,
    /// True or False.
    pub status: bool,
    /// The reason, a CamelCase word for machines.
    pub reason: String,
    /// The message, a sentence for people.
    pub message: String,
    /// Generation of the object that the condition is based on.
    pub generation: Option<i64>,
}

/// Writes a condition. An equal one is left untouched, so that its transition time stays; an older generation never
/// overwrites a newer one (KubeDB's rule).
pub fn set(conditions: &mut Vec<Condition>, statement: Statement, now: &Time) {
    let next = Condition {
        last_transition_time: now.clone(),
        message: statement.message,
        observed_generation: statement.generation,
        reason: statement.reason,
        status: if statement.status { "True" } else { "False" }.to_owned(),
        type_: statement.type_,
    };
    let Some(old) = conditions.iter_mut().find(|c| c.type_ == next.type_) else {
        conditions.push(next);
        return;
    };
    let same = (&old.status, &old.reason, &old.message, old.observed_generation)
        == (&next.status, &next.reason, &next.message, next.observed_generation);
    if same || next.observed_generation < old.observed_generation {
        return;
    }
    let since = if old.status == next.status { old.last_transition_time.clone() } else { now.clone() };
    *old = Condition { last_transition_time: since, ..next };
}

/// The condition of that type.
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether the condition of that type is there and True.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|c| c.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    fn ready(status: bool, message: &str, generation: i64) -> Statement {
        let (type_, reason) = ("Ready".to_owned(), "Test".to_owned());
        Statement { type_, status, reason, message: message.to_owned(), generation: Some(generation) }
    }

    #[test]
    fn an_equal_condition_is_left_untouched() {
        let mut conditions = vec![];
        set(&mut conditions, ready(true, "a", 1), &at(1));
        let before = conditions.clone();
        set(&mut conditions, ready(true, "a", 1), &at(2));
        assert_eq!(conditions, before);
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let mut conditions = vec![];
        set(&mut conditions, ready(true, "a", 1), &at(1));
        set(&mut conditions, ready(true, "b", 1), &at(2));
        assert_eq!((conditions[0].message.as_str(), &conditions[0].last_transition_time), ("b", &at(1)));
        set(&mut conditions, ready(false, "b", 1), &at(3));
        assert_eq!(conditions[0].last_transition_time, at(3));
    }

    #[test]
    fn an_older_generation_never_overwrites_a_newer_one() {
        let mut conditions = vec![];
        set(&mut conditions, ready(true, "new", 2), &at(1));
        set(&mut conditions, ready(false, "old", 1), &at(2));
        assert!(is_true(&conditions, "Ready"));
    }
}
