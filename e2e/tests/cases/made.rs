//! Creating a Cassandra: each case in a namespace of its own.

use anyhow::{Result, ensure};
use e2e::audit;
use e2e::client::{Login, cql};
use e2e::kubectl::{
    apply, condition, fresh_namespace, get, kubectl, patch, phase, remove_namespace, text, wait_for,
};
use e2e::manifests::{ring, standalone};
use serde_json::{Value, json};

use crate::{Case, told};

pub const CASES: &[Case] = &[
    ("quota refuses the PetSet", quota),
    ("names in use", names_in_use),
    ("a Service that nobody can make", service),
    ("user ids of the namespace", user_ids),
    ("names at the limits, ndots", limits),
    ("same name in two namespaces", same_name),
    ("more copies of logins, and fewer", copies),
    ("namespace deleted", namespace_deleted),
];

const LOGIN: Login = Login::Secret("db-auth");

/// Plays a case in a fresh namespace, and removes the namespace.
fn in_namespace(name: &str, play: impl FnOnce() -> Result<String>) -> Result<String> {
    fresh_namespace(name)?;
    let said = play()?;
    remove_namespace(name)?;
    Ok(said)
}

fn ready(namespace: &str, cassandra: &str) -> Result<Value> {
    phase(namespace, &format!("cas/{cassandra}"), &["Ready"], 300)
}

fn quota() -> Result<String> {
    const N: &str = "cases-quota";
    in_namespace(N, || {
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none", "namespace": N },
            "spec": { "hard": { "count/petsets.apps.k8s.appscode.com": "0" } },
        });
        apply(&quota.to_string())?;
        // A quota counts only when its controller has seen it.
        wait_for("the quota", N, 60, || {
            let used = get(N, "resourcequota/none")?["status"]["used"].clone();
            Ok((!used.is_null()).then_some(()))
        })?;
        apply(&standalone(N, "db", "4.1.10").to_string())?;
        let said = told(N, "cas/db", "ObjectsApplied", "exceeded quota")?;
        kubectl(&["delete", "resourcequota", "none", "-n", N])?;
        ready(N, "db")?;
        Ok(said)
    })
}

/// A ServiceAccount, a Secret with settings and a Cassandra have names that the operator might use itself.
fn names_in_use() -> Result<String> {
    const N: &str = "cases-names";
    in_namespace(N, || {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "cassandra", "namespace": N },
        });
        apply(&account.to_string())?;
        let mut with_account = standalone(N, "cassandra", "4.1.10");
        with_account["spec"]["podTemplate"]["spec"]["serviceAccountName"] = json!("cassandra");
        apply(&with_account.to_string())?;
        let settings = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "db-config", "namespace": N },
            "stringData": { "cassandra.yaml": "max_hint_window: 7h\n" },
        });
        apply(&settings.to_string())?;
        let mut with_settings = standalone(N, "db", "4.1.10");
        with_settings["spec"]["configuration"] = json!({ "secretName": "db-config" });
        apply(&with_settings.to_string())?;
        let refused = apply(&standalone(N, "default", "4.1.10").to_string());
        ready(N, "cassandra")?;
        ready(N, "db")?;
        let hints = "SELECT value FROM system_views.settings WHERE name = 'max_hint_window'";
        let rows = cql(N, "db", &LOGIN, hints)?;
        ensure!(rows[0]["value"].to_string().contains("7h"), "{rows:?}");
        let owners = &get(N, "sa/cassandra")?["metadata"]["ownerReferences"];
        ensure!(owners.is_null(), "the user's account was taken: {owners}");
        match refused {
            Ok(_) => ready(N, "default").map(|_| "all three are Ready".to_owned()),
            Err(error) => Ok(format!("two are Ready; {}", last_line(&error.to_string()))),
        }
    })
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().to_owned()
}

/// A quota forbids load balancers; the ring is created nevertheless. A Service that can never exist is refused at once.
fn service() -> Result<String> {
    const N: &str = "cases-service";
    in_namespace(N, || {
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none", "namespace": N },
            "spec": { "hard": { "services.loadbalancers": "0" } },
        });
        apply(&quota.to_string())?;
        let with = |name: &str, spec: Value| {
            let mut node = standalone(N, name, "4.1.10");
            node["spec"]["serviceTemplates"] = json!([{ "alias": "primary", "spec": spec }]);
            node.to_string()
        };
        for nonsense in [
            json!({ "type": "ClusterIP", "externalTrafficPolicy": "Local" }),
            json!({ "type": "LoadBalancer", "clusterIP": "None" }),
            json!({ "type": "Nonsense" }),
        ] {
            ensure!(apply(&with("bad", nonsense.clone())).is_err(), "{nonsense} was accepted");
        }
        apply(&with("db", json!({ "type": "LoadBalancer" })))?;
        ready(N, "db")?;
        told(N, "cas/db", "ObjectsApplied", "exceeded quota")
    })
}

/// A policy enforces what other platforms do: each container must run as a user in the namespace's range.
fn user_ids() -> Result<String> {
    const N: &str = "cases-users";
    in_namespace(N, || {
        let expression = "(object.spec.containers + object.spec.?initContainers.orValue([])).all(c, \
             c.?securityContext.?runAsUser.orValue(object.spec.?securityContext.?runAsUser.orValue(0)) >= 1000650000)";
        let rules = json!([{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
        }]);
        let _policy = Policy::new(N, &rules, expression, "runAsUser must be in the range of the namespace")?;
        let mut node = standalone(N, "db", "4.1.10");
        let spec = &mut node["spec"]["podTemplate"]["spec"];
        spec["securityContext"] = json!({ "runAsUser": 1_000_650_000, "fsGroup": 1_000_650_000 });
        spec["containers"][0]["securityContext"] = json!({ "runAsUser": 1_000_650_000 });
        apply(&node.to_string())?;
        ready(N, "db")?;
        Ok("Ready".to_owned())
    })
}

/// An admission policy that forbids something in one namespace, until it is dropped.
pub struct Policy(String);

impl Policy {
    pub fn new(namespace: &str, rules: &Value, expression: &str, message: &str) -> Result<Self> {
        const API: &str = "admissionregistration.k8s.io/v1";
        let policy = json!({
            "apiVersion": API, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": namespace },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                    "resourceRules": rules,
                },
                "validations": [{ "expression": expression, "message": message }],
            },
        });
        let binding = json!({
            "apiVersion": API, "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": namespace },
            "spec": { "policyName": namespace, "validationActions": ["Deny"] },
        });
        apply(&policy.to_string())?;
        apply(&binding.to_string())?;
        // The API server takes a moment to enforce it.
        std::thread::sleep(std::time::Duration::from_secs(3));
        Ok(Self(namespace.to_owned()))
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy";
        _ = kubectl(&["delete", kinds, &self.0]);
        std::thread::sleep(std::time::Duration::from_secs(3));
    }
}

/// The longest names that are accepted, and options of the resolver.
fn limits() -> Result<String> {
    const N: &str = "cases-limits";
    in_namespace(N, || {
        let (long, alone) = (format!("n{}", "a".repeat(39)), "s".repeat(52));
        let mut racks = ring(N, &long, "4.1.10");
        let list = racks["spec"]["topology"]["rack"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let list: Vec<Value> = (1..).zip(list.into_iter().take(2)).map(|(number, mut rack)| {
            rack["name"] = json!(format!("rack-{number}"));
            rack["podTemplate"]["spec"]["dnsConfig"] =
                json!({ "options": [{ "name": "ndots", "value": "1" }, { "name": "single-request-reopen" }] });
            rack
        }).collect();
        racks["spec"]["topology"]["rack"] = json!(list);
        apply(&racks.to_string())?;
        ready(N, &long)?;
        apply(&standalone(N, &alone, "4.1.10").to_string())?;
        ready(N, &alone)?;
        let longer = apply(&standalone(N, &format!("{alone}s"), "4.1.10").to_string());
        let refused = longer.err().map(|error| last_line(&error.to_string()));
        ensure!(refused.is_some(), "a name of 53 was accepted");
        Ok(format!("both are Ready; one letter more: {}", refused.unwrap_or_default()))
    })
}

/// A pod of one ring contacts a node of another ring of the same name, as it does when an address is reused.
fn same_name() -> Result<String> {
    const LIVE: &str = "cases-live";
    in_namespace(LIVE, || {
        apply(&standalone(LIVE, "db", "4.1.10").to_string())?;
        ready(LIVE, "db")?;
        let address = text(&get(LIVE, "pod/db-0")?, "/status/podIP");
        let said = in_namespace("cases-dev", || stranger("cases-dev", &address))?;
        let peers = cql(LIVE, "db", &LOGIN, "SELECT peer FROM system.peers_v2")?;
        ensure!(peers.is_empty(), "the ring knows strangers: {peers:?}");
        let gossip = cql(LIVE, "db", &LOGIN, "SELECT address FROM system_views.gossip_info")?;
        ensure!(gossip.len() == 1, "it talks with strangers: {gossip:?}");
        Ok(format!("the ring knows nobody else; the other one: {said}"))
    })
}

/// Two racks. For the second one, the name of the seed in the first rack resolves to the node of the other ring.
fn stranger(namespace: &str, address: &str) -> Result<String> {
    let mut dev = ring(namespace, "db", "4.1.10");
    let racks = dev["spec"]["topology"]["rack"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let mut racks: Vec<Value> = racks.into_iter().take(2).collect();
    let seed = format!("db-rack-a-0.db-rack-a-pods.{namespace}.svc");
    racks[1]["podTemplate"]["spec"]["hostAliases"] = json!([{ "ip": address, "hostnames": [seed] }]);
    dev["spec"]["topology"]["rack"] = json!(racks);
    apply(&dev.to_string())?;
    // It may become Ready through the seed in its own rack, or report whom it reached. It must not join the other ring.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(150);
    while std::time::Instant::now() < deadline {
        if text(&get(namespace, "cas/db")?, "/status/phase") == "Ready" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    let found = get(namespace, "cas/db")?;
    let says = |type_: &str| condition(&found, type_).map(|it| text(it, "/message")).unwrap_or_default();
    Ok(format!("{}; {}", says("ReplicaReady"), says("Ready")))
}

fn copies() -> Result<String> {
    const N: &str = "cases-copies";
    in_namespace(N, || {
        let mut two = ring(N, "db", "4.1.10");
        let racks = two["spec"]["topology"]["rack"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let mut rack: Vec<Value> = racks.into_iter().take(1).collect();
        rack[0]["replicas"] = json!(2);
        two["spec"]["topology"]["rack"] = json!(rack);
        apply(&two.to_string())?;
        ready(N, "db")?;
        alter(N, 3)?;
        restart_the_provisioner()?;
        seen_again(N)?;
        ensure!(copies_of_logins(N)?.contains('3'), "{}", copies_of_logins(N)?);
        alter(N, 1)?;
        restart_the_provisioner()?;
        let said = told(N, "cas/db", "Settled", "system_auth")?;
        ensure!(copies_of_logins(N)?.contains('1'), "{}", copies_of_logins(N)?);
        Ok(format!("3 copies stay; {said}"))
    })
}

fn alter(namespace: &str, copies: u32) -> Result<()> {
    let replication = format!("{{'class': 'NetworkTopologyStrategy', 'dc1': {copies}}}");
    cql(namespace, "db", &LOGIN, &format!("ALTER KEYSPACE system_auth WITH replication = {replication}"))
        .map(drop)
}

fn copies_of_logins(namespace: &str) -> Result<String> {
    let question = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'system_auth'";
    Ok(cql(namespace, "db", &LOGIN, question)?[0]["replication"].to_string())
}

pub fn restart_the_provisioner() -> Result<()> {
    let deployment = "deployment/cassandra-operators-provisioner";
    kubectl(&["rollout", "restart", "-n", "cassandra-operators", deployment])?;
    kubectl(&["rollout", "status", "-n", "cassandra-operators", deployment, "--timeout=120s"]).map(drop)
}

/// Edits the Cassandra, and waits until the provisioner has seen the edit and finds the Cassandra Ready.
fn seen_again(namespace: &str) -> Result<()> {
    let seconds =
        text(&get(namespace, "cas/db")?, "/spec/healthChecker/timeoutSeconds").parse().unwrap_or(10);
    let edit = json!({ "spec": { "healthChecker": { "timeoutSeconds": seconds + 1 } } });
    patch(namespace, "cas/db", &edit)?;
    wait_for("the provisioner to see an edit", namespace, 120, || {
        let found = get(namespace, "cas/db")?;
        let seen = found["status"]["observedGeneration"] == found["metadata"]["generation"];
        Ok((seen && found["status"]["phase"] == "Ready").then_some(()))
    })
}

/// Kubernetes deletes the objects that the operators manage, in an order of its own: they must not create them again.
fn namespace_deleted() -> Result<String> {
    const N: &str = "cases-deleted";
    fresh_namespace(N)?;
    let names = ["one", "two", "three"];
    for name in names {
        apply(&standalone(N, name, "4.1.10").to_string())?;
    }
    for name in names {
        ready(N, name)?;
    }
    let mark = audit::mark()?;
    kubectl(&["delete", "namespace", N, "--timeout=180s"])?;
    let writes =
        audit::since(&mark)?.into_iter().filter(|request| request.is_write() && request.namespace == N);
    let (refused, others): (Vec<_>, Vec<_>) = writes.partition(|request| request.code == 403);
    // Only a refused write shows that the namespace is being deleted, and writes for several Cassandras may be under way at once.
    ensure!(refused.len() <= names.len(), "{} writes were refused: {refused:#?}", refused.len());
    Ok(format!("{} writes were refused, {} were not", refused.len(), others.len()))
}
