use std::collections::BTreeMap;

use api::halt::WritePermit;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::checks::Report;
use crate::observe::{PodSeen, RackSeen};

fn at(second: i64) -> Time {
    Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
}

fn cassandra(spec: &Value) -> Cassandra {
    let mut whole = json!({ "version": "4.1.10", "storageType": "Ephemeral" });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "metadata": { "name": "db", "namespace": "ns", "generation": 1 },
        "spec": whole,
    }))
    .unwrap()
}

fn seen(ready: Option<i32>) -> Observed {
    let pod_ready = ready == Some(1);
    Observed {
        racks: vec![RackSeen { petset: "db".to_owned(), desired: 1, ready }],
        pods: vec![PodSeen { name: "db-0".to_owned(), ready: pod_ready, ..PodSeen::default() }],
        joins: None,
    }
}

fn verdict(accepting: bool, ready: bool, failures: u32) -> Verdict {
    let check = |ok: bool| if ok { Ok(()) } else { Err("pod db-0: no answer".to_owned()) };
    Verdict {
        report: Report { accepting: check(accepting), ready: check(ready), host_ids: BTreeMap::new() },
        silent: if accepting { 0 } else { failures },
        failed: if ready { 0 } else { failures },
    }
}

fn next(cassandra: &Cassandra, observed: &Observed, verdict: Option<&Verdict>) -> Cassandra {
    let waiting = WritePermit::of(cassandra).map(|_| &[][..]);
    let findings = Findings {
        observed,
        refusal: None,
        not_applied: None,
        configuration: None,
        waiting,
        flaws: None,
        verdict,
    };
    Cassandra { status: Some(of(cassandra, &findings, &at(1))), ..cassandra.clone() }
}

fn phase(cassandra: &Cassandra) -> Option<Phase> {
    cassandra.status.as_ref().unwrap().phase
}

fn says(cassandra: &Cassandra, type_: &str) -> (String, String, String) {
    let status = cassandra.status.as_ref().unwrap();
    let condition = condition::get(&status.conditions, type_).unwrap().clone();
    (condition.status, condition.reason, condition.message)
}

/// Host ids identify a node whose data is lost, so what a broken ring reports must not replace them.
#[test]
fn host_ids_are_those_of_the_last_time_that_all_nodes_agreed() {
    let ids = |id: &str| BTreeMap::from([("db-0".to_owned(), id.to_owned())]);
    let mut well = verdict(true, true, 0);
    well.report.host_ids = ids("1");
    let known = next(&cassandra(&json!({})), &seen(Some(1)), Some(&well));
    assert_eq!(known.status.as_ref().unwrap().host_ids, ids("1"));
    let broken = next(&known, &seen(Some(0)), Some(&verdict(false, false, 1)));
    assert_eq!(broken.status.as_ref().unwrap().host_ids, ids("1"));
    well.report.host_ids = ids("2");
    assert_eq!(next(&broken, &seen(Some(1)), Some(&well)).status.unwrap().host_ids, ids("2"));
}

/// A request may halt the Cassandra as soon as it is Ready, and from then on the nodes' list of members cannot be updated.
#[test]
fn a_ring_is_ready_when_its_nodes_can_be_told_who_belongs_to_it() {
    let mut well = verdict(true, true, 0);
    well.report.host_ids = BTreeMap::from([("db-0".to_owned(), "1".to_owned())]);
    let first = next(&cassandra(&json!({})), &seen(Some(1)), Some(&well));
    assert_eq!(phase(&first), Some(Phase::Provisioning));
    let ready = next(&first, &seen(Some(1)), Some(&well));
    assert_eq!(phase(&ready), Some(Phase::Ready));
    well.report.host_ids = BTreeMap::from([("db-0".to_owned(), "2".to_owned())]);
    assert_eq!(phase(&next(&ready, &seen(Some(1)), Some(&well))), Some(Phase::Ready), "it stays Ready");
    let halted = Cassandra { status: None, ..cassandra(&json!({ "halted": true })) };
    assert_eq!(says(&next(&halted, &seen(Some(1)), Some(&well)), "Ready").0, "True", "nobody could be told");
}

#[test]
fn a_ring_goes_from_nothing_to_ready() {
    let new = cassandra(&json!({}));
    let begun = next(&new, &seen(None), Some(&Verdict::known("the pods are not all ready yet")));
    assert_eq!(phase(&begun), Some(Phase::Provisioning));
    assert_eq!(says(&begun, "ReplicaReady").2, "PetSet db does not exist yet");
    assert_eq!(says(&begun, "AcceptingConnection").0, "False");
    let waiting = next(&begun, &seen(Some(0)), Some(&Verdict::known("the pods are not all ready yet")));
    assert_eq!(says(&waiting, "ReplicaReady").2, "PetSet db: 0 of 1 pods are ready");
    let accepting = next(&waiting, &seen(Some(1)), Some(&verdict(true, false, 1)));
    assert_eq!(phase(&accepting), Some(Phase::Provisioning));
    let ready = next(&accepting, &seen(Some(1)), Some(&verdict(true, true, 0)));
    assert_eq!(phase(&ready), Some(Phase::Ready));
    assert_eq!(says(&ready, "Provisioned").0, "True");
    assert_eq!(ready.status.as_ref().unwrap().observed_generation, Some(1));
}

fn ready() -> Cassandra {
    next(&cassandra(&json!({})), &seen(Some(1)), Some(&verdict(true, true, 0)))
}

#[rstest]
#[case::all_well(Some(1), verdict(true, true, 0), Phase::Ready)]
#[case::a_pod_is_away(Some(0), verdict(true, true, 0), Phase::Critical)]
#[case::one_bad_check(Some(1), verdict(true, false, 1), Phase::Ready)]
#[case::two_bad_checks(Some(1), verdict(false, false, 2), Phase::Ready)]
#[case::three_bad_checks(Some(1), verdict(true, false, 3), Phase::Critical)]
#[case::nobody_answers(Some(1), verdict(false, false, 3), Phase::NotReady)]
fn the_phase_follows_from_pods_and_checks(
    #[case] pods: Option<i32>,
    #[case] verdict: Verdict,
    #[case] expected: Phase,
) {
    assert_eq!(phase(&next(&ready(), &seen(pods), Some(&verdict))), Some(expected));
}

#[test]
fn one_good_check_is_enough_to_come_back() {
    let critical = next(&ready(), &seen(Some(1)), Some(&verdict(false, false, 9)));
    assert_eq!(phase(&critical), Some(Phase::NotReady));
    assert_eq!(phase(&next(&critical, &seen(Some(1)), Some(&verdict(true, true, 0)))), Some(Phase::Ready));
}

#[test]
fn a_process_that_has_not_asked_yet_changes_nothing() {
    let ready = ready();
    assert_eq!(next(&ready, &seen(Some(1)), None).status, ready.status);
    assert_eq!(next(&ready, &seen(Some(1)), Some(&verdict(true, true, 0))).status, ready.status);
}

#[test]
fn a_refusal_is_told_and_leaves_a_running_ring_ready() {
    let refusal = Refusal::new("VersionNotFound", "there is no CassandraVersion \"9\"".to_owned());
    let told = |cassandra: &Cassandra, observed: &Observed| {
        let findings = Findings {
            observed,
            refusal: Some(&refusal),
            not_applied: None,
            configuration: None,
            waiting: None,
            flaws: None,
            verdict: None,
        };
        Cassandra { status: Some(of(cassandra, &findings, &at(1))), ..cassandra.clone() }
    };
    let new = told(&cassandra(&json!({})), &seen(None));
    assert_eq!(phase(&new), None);
    assert_eq!(says(&new, "ProvisioningStarted").1, "VersionNotFound");
    assert_eq!(phase(&told(&ready(), &seen(Some(1)))), Some(Phase::Ready));
}

#[test]
fn a_halt_is_answered_for_its_generation_and_nothing_is_said_to_have_begun() {
    let mut halted = cassandra(&json!({ "halted": true }));
    halted.metadata.generation = Some(7);
    let answered = next(&halted, &seen(None), None);
    assert!(halt::is_answered(&answered));
    assert!(condition::get(&answered.status.unwrap().conditions, "ProvisioningStarted").is_none());
}

#[test]
fn a_pod_that_does_not_start_is_named_with_its_reason() {
    let mut observed = seen(Some(0));
    observed.pods[0].trouble = Some("container render-config ended with exit code 1: bad".to_owned());
    let told = next(&cassandra(&json!({})), &observed, None);
    let (_, reason, message) = says(&told, "ReplicaReady");
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("PodFailing", "Pod db-0: container render-config ended with exit code 1: bad")
    );
    let news = |before: &Cassandra, after: &Cassandra| {
        let conditions =
            |it: &Cassandra| it.status.clone().map(|status| status.conditions).unwrap_or_default();
        let after = conditions(after);
        news(&conditions(before), &after).iter().map(|one| one.type_.clone()).collect::<Vec<_>>()
    };
    assert_eq!(news(&cassandra(&json!({})), &told), ["ProvisioningStarted", "ReplicaReady"]);
    assert!(news(&told, &told).is_empty());
    assert_eq!(news(&told, &next(&told, &seen(Some(1)), None)), ["ReplicaReady"]);
}

#[test]
fn pods_of_another_template_are_named_until_they_are_renewed() {
    let condition = |cassandra: &Cassandra| {
        condition::get(&cassandra.status.as_ref().unwrap().conditions, "RestartRequired").cloned()
    };
    assert_eq!(condition(&ready()), None, "it never was");
    let mut observed = seen(Some(1));
    observed.pods[0].outdated = true;
    let told = next(&ready(), &observed, None);
    let (status, _, message) = says(&told, "RestartRequired");
    assert!(
        status == "True" && message.contains("Pods that lack changes of their template: db-0. "),
        "{message}"
    );
    assert_eq!(phase(&told), Some(Phase::Ready));

    let mut renewed = ready();
    renewed.spec.halted = true;
    renewed.metadata.annotations = Some([(halt::HALTED_BY.to_owned(), "u".to_owned())].into());
    assert_eq!(condition(&next(&renewed, &observed, None)), None, "a request renews them just now");

    let up_to_date = next(&told, &seen(Some(1)), None);
    let after = condition(&up_to_date).unwrap();
    assert_eq!(after.status, "False");
    assert!(!is_bad(&up_to_date, &after));
}

#[rstest]
#[case::of_a_request(Some("u"), false)]
#[case::of_the_user(None, true)]
fn a_planned_renewal_is_no_bad_news(#[case] request: Option<&str>, #[case] bad: bool) {
    let mut before = ready();
    before.spec.halted = true;
    before.metadata.annotations = request.map(|uid| [(halt::HALTED_BY.to_owned(), uid.to_owned())].into());
    let told = |after: &Cassandra| {
        let (old, new) =
            (before.status.clone().unwrap().conditions, after.status.clone().unwrap().conditions);
        let told = news(&old, &new).into_iter().map(|one| (one.type_.clone(), is_bad(after, one)));
        told.collect::<std::collections::BTreeMap<_, _>>()
    };
    let away = told(&next(&before, &seen(Some(0)), Some(&verdict(false, false, 9))));
    assert_eq!(away["ReplicaReady"], bad);
    assert_eq!((away["Ready"], away["AcceptingConnection"]), (bad, bad));
    assert!(!away["Paused"]);
    let mut failing = seen(Some(0));
    failing.pods[0].trouble = Some("container cassandra ended with exit code 3: why".to_owned());
    assert!(told(&next(&before, &failing, None))["ReplicaReady"], "a pod that does not start");
}
