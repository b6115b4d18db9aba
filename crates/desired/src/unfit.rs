//! Finds what the API server accepts in a spec although a node would not start with it, or would start with something else than
//! what is asked for. It is refused before a PetSet is created or changed.

use api::Cassandra;
use k8s_openapi::api::core::v1::{Container, ResourceRequirements};

use crate::refusal::Refusal;
use crate::resolved::{Rack, Resolved, racks};
use crate::resources;

/// Memory in MiB that a JVM with Cassandra needs besides its heap: code, classes, threads, buffers.
const BESIDE_THE_HEAP: u64 = 256;

/// Environment variables whose options reach the JVM.
const OPTIONS: [&str; 4] = ["JVM_EXTRA_OPTS", "JVM_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"];

/// Prefixes of options that are refused, and why. They would bypass the rules about `cassandra.yaml`.
const REFUSED: [(&str, &str); 14] = [
    ("-Dcassandra.config", "it leads past the configuration; settings belong in spec.configuration"),
    ("-Dcassandra.settings.", "it leads past the configuration; settings belong in spec.configuration"),
    ("-Dcassandra.storagedir", "data lives on the volume of the pod"),
    ("-Dcassandra.partitioner", "set partitioner in spec.configuration"),
    ("-Dcassandra.initial_token", "one value cannot serve several nodes"),
    ("-Dcassandra.join_ring", "clients and health checks need the node in the ring"),
    ("-Dcassandra.write_survey", "clients and health checks need the node in the ring"),
    ("-Dcassandra.start_native_transport", "clients and health checks need it"),
    ("-Dcassandra.native_transport_port", "Services and probes expect the default"),
    ("-Dcassandra.storage_port", "Services and probes expect the default"),
    ("-Dcassandra.ssl_storage_port", "Services and probes expect the default"),
    ("-Dcassandra.unsafesystem", "what a node has acknowledged would not be on its disk"),
    ("-Dcassandra.jmx.remote.port", "it opens JMX to the network; use kubectl exec"),
    ("-Dcom.sun.management.jmxremote.port", "it opens JMX to the network; use kubectl exec"),
];

/// The first problem, if any. With `runs`, memory is not checked: a running ring keeps what it has.
pub fn unfit(resolved: &Resolved, runs: bool) -> Option<Refusal> {
    inline(resolved, runs).or_else(|| resolved.racks.iter().find_map(|rack| of_rack(resolved, rack, runs)))
}

/// Why the nodes have too little memory to start, if so.
pub fn too_small(cassandra: &Cassandra) -> Option<String> {
    racks(cassandra).iter().find_map(|rack| memory(rack.node()?))
}

fn inline(resolved: &Resolved, runs: bool) -> Option<Refusal> {
    let text = resolved.cassandra.spec.configuration.as_ref()?.inline.get(api::names::CONFIG_KEY)?;
    let problem = settings::problem(text, !runs).or_else(|| changed(resolved, text))?;
    Some(Refusal::new("ConfigInvalid", format!("spec.configuration.inline: cassandra.yaml: {problem}")))
}

/// Finds a setting whose value differs from the one that the ring was created with.
fn changed(resolved: &Resolved, text: &str) -> Option<String> {
    resolved.kept.fixed.iter().find_map(|(setting, value)| {
        let theirs = settings::value(text, setting)?;
        // A class may be given with or without its package.
        let class = |name: &str| name.rsplit('.').next().map(str::to_owned);
        if class(&theirs) == class(value) {
            return None;
        }
        Some(format!(
            "{setting} is {value} since this ring was made, and Cassandra lets nobody change it on a node with data: it cannot \
             become {theirs}; remove it"
        ))
    })
}

fn of_rack(resolved: &Resolved, rack: &Rack, runs: bool) -> Option<Refusal> {
    let container = rack.node()?;
    let problem = options(container).or_else(|| if runs { None } else { memory(container) })?;
    let template = match resolved.cassandra.spec.topology {
        Some(_) => format!("spec.topology: podTemplate of rack {}", rack.name),
        None => "spec.podTemplate".to_owned(),
    };
    Some(Refusal::new("PodTemplateInvalid", format!("{template}: container {}: {problem}", container.name)))
}

fn value<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.env.iter().flatten().find(|it| it.name == name)?.value.as_deref()
}

fn options(container: &Container) -> Option<String> {
    OPTIONS.iter().find_map(|variable| {
        let mut words = value(container, variable)?.split_whitespace();
        let (option, why) = words.find_map(|word| {
            let (_, why) = REFUSED.iter().find(|(option, _)| word.starts_with(option))?;
            Some((word, why))
        })?;
        Some(format!("env {variable}: {option} must not be set ({why}); remove it"))
    })
}

fn memory(container: &Container) -> Option<String> {
    let resources = resources::resources(container.resources.as_ref());
    let limit = resources::memory(&resources)?;
    let (source, heap) = heap(container, &resources)?;
    let needed = heap + BESIDE_THE_HEAP;
    (limit < needed).then(|| {
        format!(
            "resources: {limit}Mi of memory are too little: the heap is {heap} MiB ({source}), and a node needs \
             {BESIDE_THE_HEAP} MiB beside it. Give it {needed}Mi or more"
        )
    })
}

/// Where the heap size comes from, and the size in MiB.
fn heap(container: &Container, resources: &ResourceRequirements) -> Option<(&'static str, u64)> {
    let options = value(container, OPTIONS[0]).unwrap_or_default();
    if let Some(size) = options.split_whitespace().filter_map(|it| it.strip_prefix("-Xmx")).next_back() {
        return Some(("-Xmx in JVM_EXTRA_OPTS", mebibytes(size)?));
    }
    let [(name, size), _] = resources::heap(resources);
    match container.env.iter().flatten().find(|it| it.name == name) {
        Some(theirs) => Some(("MAX_HEAP_SIZE in env", mebibytes(theirs.value.as_deref()?)?)),
        None => Some(("the smallest", mebibytes(&size)?)),
    }
}

/// A size as the JVM reads it, in MiB.
fn mebibytes(size: &str) -> Option<u64> {
    let split = size.find(|it: char| !it.is_ascii_digit()).unwrap_or(size.len());
    let (number, unit) = size.split_at(split);
    let number = number.parse::<u64>().ok()?;
    match unit {
        "" => Some(number >> 20),
        "k" | "K" => Some(number >> 10),
        "m" | "M" => Some(number),
        "g" | "G" => number.checked_mul(1024),
        "t" | "T" => number.checked_mul(1024 * 1024),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn told(spec: &Value, runs: bool) -> String {
        let cassandra = json!({ "metadata": { "name": "db", "namespace": "demo" }, "spec": spec });
        let cassandra: Cassandra = serde_json::from_value(cassandra).unwrap();
        unfit(&Resolved::of(&cassandra), runs).map(|refusal| refusal.message).unwrap_or_default()
    }

    fn of_container(container: &str) -> Value {
        let mut container: Value = serde_yaml::from_str(container).unwrap();
        container["name"] = json!("cassandra");
        json!({ "version": "4.1.10", "podTemplate": { "spec": { "containers": [container] } } })
    }

    #[rstest]
    #[case::nothing_said("{}", "")]
    #[case::a_ring_of_the_tests("{resources: {limits: {memory: 1Gi}}}", "")]
    #[case::least("{resources: {limits: {memory: 512Mi}}}", "")]
    #[case::request_counts("{resources: {requests: {memory: 512Mi}, limits: {memory: 64Mi}}}", "")]
    #[case::s10(
        "{resources: {limits: {memory: 200Mi}}}",
        "200Mi of memory are too little: the heap is 256 MiB (the smallest), and a node needs 256 MiB beside it. Give it 512Mi or more"
    )]
    #[case::tiny("{resources: {requests: {memory: 64Mi}}}", "64Mi of memory are too little")]
    #[case::own_heap(
        "{resources: {limits: {memory: 1Gi}}, env: [{name: MAX_HEAP_SIZE, value: 1G}]}",
        "1024Mi of memory are too little: the heap is 1024 MiB (MAX_HEAP_SIZE in env), and a node needs 256 MiB beside it. Give it 1280Mi or more"
    )]
    #[case::own_small_heap(
        "{resources: {limits: {memory: 400Mi}}, env: [{name: MAX_HEAP_SIZE, value: 128M}]}",
        ""
    )]
    #[case::heap_by_option(
        "{resources: {limits: {memory: 1Gi}}, env: [{name: JVM_EXTRA_OPTS, value: -Xmx2g -Da=b}]}",
        "the heap is 2048 MiB (-Xmx in JVM_EXTRA_OPTS)"
    )]
    #[case::heap_that_is_not_known(
        "{resources: {limits: {memory: 300Mi}}, env: [{name: MAX_HEAP_SIZE, valueFrom: {configMapKeyRef: {name: a, key: b}}}]}",
        ""
    )]
    fn memory_that_no_node_starts_with_is_refused_with_the_number(
        #[case] container: &str,
        #[case] said: &str,
    ) {
        let told_first = told(&of_container(container), false);
        assert_eq!(told_first.is_empty(), said.is_empty(), "{told_first}");
        assert!(told_first.contains(said), "{told_first}");
        assert_eq!(told(&of_container(container), true), "", "a ring that runs goes on");
    }

    #[rstest]
    #[case("-Dcassandra.config=file:///tmp/mine.yaml", "leads past the configuration")]
    #[case("-Dcassandra.config.allow_system_properties=true", "leads past the configuration")]
    #[case("-Dcassandra.settings.authenticator=AllowAllAuthenticator", "leads past the configuration")]
    #[case("-Xss512k -Dcassandra.join_ring=false", "in the ring")]
    #[case("-Dcom.sun.management.jmxremote.port=7199", "opens JMX")]
    fn an_option_that_leads_past_the_operator_is_refused(
        #[case] options: &str,
        #[case] why: &str,
        #[values("JVM_EXTRA_OPTS", "JAVA_TOOL_OPTIONS")] variable: &str,
        #[values(false, true)] runs: bool,
    ) {
        let told = told(&of_container(&format!("{{env: [{{name: {variable}, value: '{options}'}}]}}")), runs);
        assert!(told.starts_with("spec.podTemplate: container cassandra: env "), "{told}");
        assert!(told.contains(variable) && told.contains(why) && told.ends_with("; remove it"), "{told}");
    }

    #[test]
    fn other_options_are_the_users() {
        let options = "-Dcassandra.ring_delay_ms=2000 -Dcassandra.superuser_setup_delay_ms=0 -Xlog:gc";
        assert_eq!(
            told(&of_container(&format!("{{env: [{{name: JVM_EXTRA_OPTS, value: '{options}'}}]}}")), false),
            ""
        );
    }

    #[rstest]
    #[case::no_yaml("num_tokens: [1\nother: 2", "it is no valid YAML: ", "at line 2")]
    #[case::no_settings("just text", "it must be a list of `setting: value`", "")]
    #[case::of_the_operator("authenticator: AllowAllAuthenticator", "set spec.disableSecurity to choose", "")]
    fn inline_settings_are_refused_with_line_and_reason(
        #[case] yaml: &str,
        #[case] why: &str,
        #[case] line: &str,
        #[values(false, true)] runs: bool,
    ) {
        let spec = json!({ "version": "4.1.10", "configuration": { "inline": { "cassandra.yaml": yaml } } });
        let told = told(&spec, runs);
        assert!(told.starts_with("spec.configuration.inline: cassandra.yaml: "), "{told}");
        assert!(told.contains(why) && told.contains(line), "{told}");
    }

    #[rstest]
    #[case::as_it_was_made("num_tokens: 16", "")]
    #[case::the_same_class("partitioner: Murmur3Partitioner", "")]
    #[case::other_tokens(
        "num_tokens: 8",
        "num_tokens is 16 since this ring was made, and Cassandra lets nobody change it on a node with data: it cannot become 8"
    )]
    #[case::another_class(
        "partitioner: org.apache.cassandra.dht.RandomPartitioner",
        "cannot become org.apache"
    )]
    fn what_a_ring_was_made_with_stays(#[case] settings: &str, #[case] said: &str) {
        let configuration = json!({ "inline": { "cassandra.yaml": settings } });
        let told = told(&json!({ "version": "4.1.10", "configuration": configuration }), true);
        assert!(told.contains(said) && told.is_empty() == said.is_empty(), "{told}");
    }
}
