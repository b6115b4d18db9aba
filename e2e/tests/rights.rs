//! What the operators may do, and what they have done: a right that nothing has used is one too many.
//!
//! It runs after the other tests, on the same cluster: the audit log holds all that these have made the operators do.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use e2e::audit::{Request, all};
use e2e::kubectl::{get, text};
use serde_json::Value;

const NAMESPACE: &str = "cassandra-operators";

/// Kind and verb, such as `apps/statefulsets patch`.
type Rights = BTreeSet<String>;

#[test]
fn every_right_is_used_and_none_is_missing() -> Result<()> {
    let requests = all()?;
    for operator in ["provisioner", "ops-manager"] {
        let requests: Vec<_> = requests.iter().filter(|request| request.operator == operator).collect();
        let refused: Vec<_> = requests.iter().filter(|request| !request.allowed).collect();
        assert!(refused.is_empty(), "{operator} had no right to {refused:#?}");
        let used: Rights = requests.into_iter().flat_map(used).collect();
        let granted = granted(operator)?;
        let unused: Vec<_> = granted.difference(&used).filter(|right| !is_silent(right)).collect();
        assert!(unused.is_empty(), "the chart lets the {operator} do what no test makes it do: {unused:#?}");
    }
    Ok(())
}

/// A patch that creates an object needs both rights.
fn used(request: &Request) -> impl Iterator<Item = String> {
    let verbs = [Some(request.verb.as_str()), (request.code == 201).then_some("create")];
    let kind = format!("{}/{}", request.group, request.resource);
    verbs.into_iter().flatten().map(move |verb| format!("{kind} {verb}"))
}

/// Rights that are needed but not visible in every run. Clusters that check who may block the deletion of an owner look up the
/// right on its finalizers without a request for it. An event is patched only when it repeats within minutes. Events are read
/// only while a pod is not admitted, a Cassandra only when somebody lifts a halt, and ConfigMaps only if pods mount one.
fn is_silent(right: &str) -> bool {
    right.ends_with("/finalizers update")
        || [
            "events.k8s.io/events patch",
            "events.k8s.io/events list",
            "kubedb.com/cassandras get",
            "/configmaps get",
        ]
        .contains(&right)
}

/// All roles that the chart gives to the operator.
fn granted(operator: &str) -> Result<Rights> {
    let lists = [get("", "clusterroles")?, get(NAMESPACE, "roles")?];
    let name = format!("cassandra-operators-{operator}");
    let of_operator = |role: &&Value| text(role, "/metadata/name").starts_with(&name);
    let roles = lists.iter().flat_map(|list| items(&list["items"])).filter(of_operator);
    let rights: Rights = roles.flat_map(|role| items(&role["rules"])).flat_map(rights).collect();
    ensure!(!rights.is_empty(), "there is no role {name}");
    Ok(rights)
}

fn rights(rule: &Value) -> impl Iterator<Item = String> {
    let words = |key| items(&rule[key]).filter_map(Value::as_str);
    words("apiGroups").flat_map(move |group| {
        words("resources")
            .flat_map(move |kind| words("verbs").map(move |verb| format!("{group}/{kind} {verb}")))
    })
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}
