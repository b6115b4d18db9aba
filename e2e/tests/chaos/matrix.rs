//! All rows: which fault, at which step, and the required outcome.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::kubectl::{apply, condition, get, kubectl, patch, phase, text, wait_for};
use e2e::machine::{self, api_server};
use e2e::manifests;
use e2e::operators::Operator;
use e2e::proxy::{Fault, When, Write};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::row::{Ending, Row};
use crate::stage::{NAMESPACE, PODS, RING, Stage, cassandra};
use crate::step::Step;
use crate::{back, floor, witness};

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        Row::new("pod deleted", "no update", Ending::Unchanged, floor::measure).hits_nodes(),
        Row::new("none", "-", Ending::Updated, witness::plain),
        Row::new("image missing", "image", Ending::RolledBack, |stage| bad(stage, "missing")),
        Row::new("image crashing", "image", Ending::RolledBack, |stage| bad(stage, "crash")),
        Row::new("wrong release", "image", Ending::RolledBack, |stage| {
            let other = stage.target.clone();
            bad(stage, &other)
        }),
    ];
    rows.extend(of_operators());
    rows.extend(of_clocks());
    rows.extend(of_the_api_server());
    rows.extend(of_nodes());
    rows.extend(of_users());
    rows.extend(back::rows());
    for step in Step::ALL {
        for when in [When::Before, When::After] {
            rows.push(Row::new("ops-manager killed", at(when, step), Ending::Updated, move |stage| {
                stage.hold(when, step)?;
                stage.ops_manager.kill()?;
                stage.release();
                resumed(&mut stage.ops_manager)
            }));
        }
        rows.push(Row::new("provisioner killed", at(When::After, step), Ending::Updated, move |stage| {
            stage.hold(When::After, step)?;
            stage.provisioner.kill()?;
            stage.release();
            resumed(&mut stage.provisioner)
        }));
    }
    rows
}

fn at(when: When, step: Step) -> String {
    format!("{when:?} {step:?}").to_lowercase()
}

/// Starts an operator that was killed, and returns how long it took until it wrote again.
fn resumed(operator: &mut Operator) -> Result<String> {
    let (before, killed) = (operator.proxy.count(), Instant::now());
    operator.start()?;
    wait_for("the next write of the operator", NAMESPACE, 90, || {
        Ok((operator.proxy.count() > before).then_some(()))
    })?;
    Ok(format!("writes again after {} s", killed.elapsed().as_secs()))
}

fn of_operators() -> Vec<Row> {
    let eviction = || at(When::After, Step::Eviction);
    vec![
        Row::new("both killed", "each write", Ending::Updated, killed_at_each_write),
        Row::new("leaders killed", eviction(), Ending::Updated, |stage| {
            let _spares = spares(stage)?;
            stage.hold(When::After, Step::Eviction)?;
            stage.ops_manager.kill()?;
            stage.provisioner.kill()?;
            // The killed operators must not come back before the end.
            ended_by_others(stage)
        }),
        Row::new("leader frozen, wakes", eviction(), Ending::Updated, |stage| {
            let _spares = spares(stage)?;
            stage.hold(When::After, Step::Eviction)?;
            let frozen = stage.ops_manager.proxy.count();
            stage.ops_manager.signal("STOP")?;
            // The signal takes effect with a delay, and the response must not come before that.
            sleep(Duration::from_secs(1));
            stage.release();
            sleep(Duration::from_secs(25));
            stage.ops_manager.signal("CONT")?;
            wait_for("the end of the deposed leader", NAMESPACE, 30, || {
                Ok((!stage.ops_manager.runs()?).then_some(()))
            })?;
            let late = stage.ops_manager.proxy.count() - frozen;
            ensure!(late == 0, "the deposed leader has sent {late} more writes");
            ended_by_others(stage)
        }),
        Row::new("operator cut off, 60 s", eviction(), Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            stage.provisioner.proxy.set(Fault::Silent);
            sleep(Duration::from_mins(1));
            stage.provisioner.proxy.set(Fault::None);
            stage.release();
            Ok(String::new())
        }),
    ]
}

/// An ops-manager takes over whose clock differs by an hour from its predecessor's: more than any step may take.
fn of_clocks() -> Vec<Row> {
    let row = |fault, hours: i64| {
        Row::new(fault, "renewed pod", Ending::Updated, move |stage| {
            stage.hold(When::After, Step::Eviction)?;
            stage.release();
            let step = wait_for("a step with a time", NAMESPACE, 60, || {
                let step = stage.seen()?["status"]["step"].clone();
                Ok((step["name"] == format!("renewal of {}", PODS[1])).then_some(step))
            })?;
            stage.ops_manager.kill()?;
            let started: Timestamp = text(&step, "/started").parse()?;
            let other = (started + SignedDuration::from_hours(hours)).to_string();
            let record =
                json!({ "status": { "step": { "name": step["name"], "started": other } } }).to_string();
            let name = stage.name();
            kubectl(&[
                "patch",
                "-n",
                NAMESPACE,
                "casops",
                &name,
                "--subresource=status",
                "--type=merge",
                "-p",
                &record,
            ])?;
            resumed(&mut stage.ops_manager)
        })
    };
    vec![row("clock an hour ahead", -1), row("clock an hour behind", 1)]
}

fn of_the_api_server() -> Vec<Row> {
    vec![
        Row::new("API answers at random", "all", Ending::Updated, |stage| {
            for operator in [&stage.provisioner, &stage.ops_manager] {
                operator.proxy.set(Fault::Noise(20));
            }
            stage.request().map(|()| "20 of 100 requests disturbed".to_owned())
        }),
        Row::new("API server stopped, 60 s", at(When::After, Step::Eviction), Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            api_server("STOP")?;
            stage.release();
            sleep(Duration::from_mins(1));
            api_server("CONT")?;
            Ok(String::new())
        }),
        Row::new("API server killed", at(When::After, Step::Image), Ending::Updated, |stage| {
            stage.hold(When::After, Step::Image)?;
            api_server("KILL")?;
            stage.release();
            Ok(String::new())
        }),
    ]
}

fn of_nodes() -> Vec<Row> {
    vec![
        Row::new("Cassandra killed", "renewed pod", Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            stage.release();
            machine::kill(NAMESPACE, PODS[0], "cassandra")?;
            Ok(String::new())
        })
        .hits_nodes(),
        Row::new("Cassandra killed", "pod to come", Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            stage.release();
            machine::kill(NAMESPACE, PODS[2], "cassandra")?;
            Ok(String::new())
        })
        .hits_nodes(),
        Row::new("pod deleted", "pod to come", Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            stage.release();
            kubectl(&["delete", "pod", "-n", NAMESPACE, PODS[2], "--wait=false"])?;
            Ok(String::new())
        })
        .hits_nodes(),
        Row::new("pod deleted", "renewed pod", Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            stage.release();
            kubectl(&["delete", "pod", "-n", NAMESPACE, PODS[0], "--wait=false"])?;
            Ok(String::new())
        })
        .hits_nodes(),
        Row::new("no machine for 60 s", at(When::After, Step::Eviction), Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            stage.release();
            without_machines(|| {
                sleep(Duration::from_mins(1));
                Ok(String::new())
            })
        }),
        Row::new("no machine, timeout", at(When::After, Step::Image), Ending::RolledBack, |stage| {
            stage.timeout = "75s";
            stage.hold(When::After, Step::Image)?;
            stage.release();
            without_machines(|| {
                wait_for("the roll-back", NAMESPACE, 180, || {
                    Ok(condition(&stage.seen()?, "RollBack").is_some().then_some(()))
                })?;
                Ok(String::new())
            })
        }),
    ]
}

/// Runs `meanwhile` while no new pod can be scheduled.
fn without_machines(meanwhile: impl FnOnce() -> Result<String>) -> Result<String> {
    let all = |verb| kubectl(&[verb, "--selector=kubernetes.io/os=linux"]);
    all("cordon")?;
    let done = meanwhile();
    all("uncordon")?;
    done
}

fn of_users() -> Vec<Row> {
    let halted = |halted: bool| patch(NAMESPACE, &cassandra(), &json!({ "spec": { "halted": halted } }));
    vec![
        // The user halts after the ops-manager has recorded its plan and before it has halted: the halt must count as the user's.
        Row::new("user halts", at(When::Before, Step::Halt), Ending::Updated, move |stage| {
            stage.hold(When::Before, Step::Halt)?;
            stage.ops_manager.kill()?;
            halted(true)?;
            stage.release();
            stage.ops_manager.start()?;
            let waiting = wait_for("the request to wait for the user", NAMESPACE, 60, || {
                let request = stage.seen()?;
                Ok(condition(&request, "Waiting").filter(|c| c["reason"] == "HaltedByUser").cloned())
            });
            waiting.context("whose halt is it?")?;
            sleep(Duration::from_secs(10));
            ensure!(
                text(&get(NAMESPACE, &cassandra())?, "/spec/halted") == "true",
                "it lifted the user's halt"
            );
            halted(false).map(|_| "waited for the user".to_owned())
        }),
        Row::new("user lifts the halt", at(When::After, Step::Eviction), Ending::Updated, move |stage| {
            stage.hold(When::After, Step::Eviction)?;
            halted(false)?;
            stage.release();
            Ok(String::new())
        }),
        Row::new("request deleted", at(When::After, Step::Eviction), Ending::Stopped, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            kubectl(&["delete", "casops", "-n", NAMESPACE, &stage.name(), "--wait=false"])?;
            stage.release();
            Ok(String::new())
        }),
        Row::new("user edits the Cassandra", at(When::After, Step::Eviction), Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            let edit = json!({ "spec": { "healthChecker": { "timeoutSeconds": 9 } } });
            patch(NAMESPACE, &cassandra(), &edit)?;
            stage.release();
            Ok(String::new())
        }),
        Row::new("user edits a PetSet", at(When::After, Step::Eviction), Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            let image = format!("localhost/cassandra:{}", stage.source);
            let edit = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image }]);
            let petset = PODS[0].trim_end_matches("-0");
            kubectl(&["patch", "-n", NAMESPACE, "petset", petset, "--type=json", "-p", &edit.to_string()])?;
            stage.release();
            Ok(String::new())
        }),
        Row::new("a second request", at(When::After, Step::Eviction), Ending::Updated, |stage| {
            stage.hold(When::After, Step::Eviction)?;
            let second = format!("{}-again", stage.name());
            apply(&manifests::update(NAMESPACE, &second, RING, &stage.target).to_string())?;
            stage.release();
            let condition_is = |type_: &str, reason: &str| {
                let request = get(NAMESPACE, &format!("casops/{second}"))?;
                Ok(condition(&request, type_).is_some_and(|c| c["reason"] == reason).then_some(()))
            };
            wait_for("the second request to wait", NAMESPACE, 30, || condition_is("Waiting", "Queued"))?;
            stage.end()?;
            wait_for("its end", NAMESPACE, 30, || condition_is("Denied", "IdenticalVersion"))?;
            Ok("the second one waited, then: Denied".to_owned())
        }),
    ]
}

/// Requests a version whose image is not what it should be.
fn bad(stage: &mut Stage, tag: &str) -> Result<String> {
    let version = format!("{}.90", stage.source.rsplit_once('.').context("a version has dots")?.0);
    let image = format!("localhost/cassandra:{tag}");
    apply(&manifests::version(&version, &image).to_string())?;
    stage.target = version;
    stage.request().map(|()| String::new())
}

/// Each operator dies after each of its writes, until the update has ended. There is no leader election: a new process would
/// wait 15 seconds each time for the lease of its predecessor.
fn killed_at_each_write(stage: &mut Stage) -> Result<String> {
    let always = || Fault::Cut(When::After, Arc::new(|_: &Write| true));
    let both = |stage: &mut Stage, elect: &str, fault: &dyn Fn() -> Fault| -> Result<()> {
        for operator in [&mut stage.provisioner, &mut stage.ops_manager] {
            operator.kill()?;
            operator.set("LEADER_ELECT", elect);
            operator.proxy.set(fault());
            operator.start()?;
        }
        Ok(())
    };
    both(stage, "false", &always)?;
    stage.request()?;
    let (mut kills, mut looked) = ([0, 0], Instant::now());
    loop {
        for (operator, kills) in [&mut stage.provisioner, &mut stage.ops_manager].into_iter().zip(&mut kills)
        {
            if operator.proxy.cut(Duration::from_millis(20)).is_some() {
                operator.kill()?;
                operator.proxy.set(always());
                operator.start()?;
                *kills += 1;
            }
        }
        if looked.elapsed() > Duration::from_secs(2) {
            looked = Instant::now();
            if stage.ended().is_some() {
                break;
            }
        }
    }
    both(stage, "true", &|| Fault::None)?;
    Ok(format!("provisioner killed {} times, ops-manager {} times", kills[0], kills[1]))
}

/// A second replica of each operator, which waits for the lease.
fn spares(stage: &Stage) -> Result<[Operator; 2]> {
    let mut spares =
        [Operator::new("provisioner", 2, &stage.folder)?, Operator::new("ops-manager", 2, &stage.folder)?];
    for spare in &mut spares {
        spare.start()?;
    }
    phase(NAMESPACE, &cassandra(), &["Ready"], 60)?;
    Ok(spares)
}

fn ended_by_others(stage: &Stage) -> Result<String> {
    wait_for("the end of the update by the other replicas", NAMESPACE, 400, || Ok(stage.ended()))?;
    Ok("by the other replicas".to_owned())
}
