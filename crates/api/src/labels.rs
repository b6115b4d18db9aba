//! Labels of what belongs to a Cassandra (KubeDB's).

use std::collections::BTreeMap;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Key of the application's name.
pub const NAME: &str = "app.kubernetes.io/name";
/// Key of the Cassandra's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Key of the manager.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Key of the component.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Key of the PetSet's name.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Value of [`NAME`].
pub const APPLICATION: &str = "cassandras.kubedb.com";
/// Value of [`MANAGED_BY`].
pub const MANAGER: &str = "kubedb.com";

/// Label selector for all that belongs to any Cassandra.
pub const ALL_SELECTOR: &str =
    "app.kubernetes.io/name=cassandras.kubedb.com,app.kubernetes.io/managed-by=kubedb.com";

/// Labels that select all pods of a Cassandra.
pub fn selectors(cassandra: &str) -> Labels {
    [(NAME, APPLICATION), (INSTANCE, cassandra), (MANAGED_BY, MANAGER)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Labels that select the pods of one PetSet.
pub fn petset_selectors(cassandra: &str, petset: &str) -> Labels {
    let mut labels = selectors(cassandra);
    labels.insert(PART_OF.to_owned(), petset.to_owned());
    labels
}

/// Labels of every object that belongs to a Cassandra: the operator's own, and those of the Cassandra that may be inherited.
pub fn object_labels(cassandra: &str, own: &Labels) -> Labels {
    let mut labels = inheritable(own);
    labels.extend(operator_labels(cassandra));
    labels
}

/// The selectors and the component.
pub fn operator_labels(cassandra: &str) -> Labels {
    let mut labels = selectors(cassandra);
    labels.insert(COMPONENT.to_owned(), "database".to_owned());
    labels
}

/// The user's labels, without those that identify what an object belongs to.
pub fn inheritable(own: &Labels) -> Labels {
    let reserved = [NAME, INSTANCE, MANAGED_BY, "app.kubernetes.io/version"];
    let foreign = |key: &str| {
        let domain = key.split('/').next().unwrap_or_default();
        !reserved.contains(&key) && domain != "kubedb.com" && !domain.ends_with(".kubedb.com")
    };
    own.iter().filter(|(key, _)| foreign(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Name of the Cassandra that an object with these labels belongs to.
pub fn cassandra_of(labels: &Labels) -> Option<&str> {
    (labels.get(NAME).map(String::as_str) == Some(APPLICATION))
        .then(|| labels.get(INSTANCE))
        .flatten()
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_operator_win_and_kubedb_ones_are_not_inherited() {
        let own = [("team", "a"), ("kubedb.com/x", "b"), ("ops.kubedb.com/y", "c"), (INSTANCE, "other")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let labels = object_labels("db", &own);
        assert_eq!(labels.get("team").map(String::as_str), Some("a"));
        assert_eq!(cassandra_of(&labels), Some("db"));
        assert!(!labels.keys().any(|k| k.contains("kubedb.com/")));
    }
}
