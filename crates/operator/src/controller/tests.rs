use std::fmt;

use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::ResourceExt;
use serde_json::json;
use tokio::{task::JoinHandle, time::Instant as Time};

use super::*;
use crate::{Leader, itself, spec_changed, testing::FakeApi};

#[derive(Debug)]
struct Broken(Retry);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is broken")
    }
}

impl std::error::Error for Broken {}

impl Failure for Broken {
    fn reason(&self) -> &'static str {
        "Broken"
    }

    fn retry(&self) -> Retry {
        self.0
    }
}

type Outcome = Result<Option<Duration>, Broken>;

/// The object decides what a reconcile does. Each run is recorded with its time.
#[derive(Default)]
struct Script {
    runs: Mutex<Vec<(String, Duration)>>,
    start: Mutex<Option<Time>>,
}

impl Script {
    fn runs(&self, name: &str) -> Vec<u64> {
        let runs = self.runs.lock().unwrap();
        runs.iter().filter(|(run, _)| run == name).map(|(_, at)| at.as_secs()).collect()
    }
}

async fn reconcile(object: Arc<ConfigMap>, script: Arc<Script>) -> Outcome {
    let start = *script.start.lock().unwrap().get_or_insert_with(Time::now);
    script.runs.lock().unwrap().push((object.name_any(), start.elapsed()));
    match object.data.as_ref().and_then(|data| data.get("does")).map(String::as_str) {
        Some("panic") => panic!("as told"),
        Some("fail") => Err(Broken(Retry::Backoff)),
        Some("never") => Err(Broken(Retry::Never)),
        Some("conflict") => Err(Broken(Retry::Soon)),
        Some("again") => Ok(Some(Duration::from_secs(10))),
        Some("slow") => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(None)
        }
        _ => Ok(None),
    }
}

fn config(name: &str, does: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "demo"}, "data": {"does": does}}))
        .unwrap()
}

struct Running {
    operator: Operator,
    script: Arc<Script>,
    task: JoinHandle<anyhow::Result<()>>,
}

fn start(operator: Operator) -> Running {
    let queue = Queue::new();
    let cache = Cache::builder(&operator, operator.api(None))
        .notify_if(&queue, spec_changed, itself::<ConfigMap>)
        .start();
    let script = Arc::new(Script::default());
    let task = tokio::spawn({
        let (operator, script) = (operator.clone(), Arc::clone(&script));
        async move { run(&operator, "test", &cache, queue, script, reconcile).await }
    });
    Running { operator, script, task }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn every_object_is_looked_at_once_and_then_on_change() {
    let api = FakeApi::new();
    api.put(&config("a", ""));
    let running = start(api.operator("tester"));
    seconds(60).await;
    assert_eq!(running.script.runs("a"), [0]);
    api.put(&config("b", ""));
    api.change("demo", "a", |config: &mut ConfigMap| config.data = None);
    seconds(60).await;
    assert_eq!(running.script.runs("a").len(), 2);
    assert_eq!(running.script.runs("b").len(), 1);
    assert!(api.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_follower_reconciles_nothing() {
    let api = FakeApi::new();
    api.put(&config("a", ""));
    let running = start(Operator { leader: Leader::follower(), ..api.operator("tester") });
    seconds(60).await;
    assert!(running.script.runs("a").is_empty());
    running.operator.shutdown.cancel();
    running.task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_wait_grows_while_it_fails_and_starts_anew_after_a_success() {
    let api = FakeApi::new();
    api.put(&config("a", "fail"));
    let running = start(api.operator("tester"));
    seconds(10).await;
    // After 1, 2 and 4 seconds, each up to a tenth and the debounce longer.
    assert_eq!(running.script.runs("a"), [0, 1, 3, 7]);
    api.put(&config("a", ""));
    seconds(60).await;
    assert_eq!(running.script.runs("a").len(), 5);
    running.script.runs.lock().unwrap().clear();
    api.put(&config("a", "fail"));
    seconds(2).await;
    assert_eq!(running.script.runs("a").len(), 2);
    let events: Vec<_> = api.list::<Event>();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].reason.as_deref(), Some("Broken"));
    assert_eq!(events[0].note.as_deref(), Some("it is broken"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_waits_for_a_change() {
    let api = FakeApi::new();
    api.put(&config("a", "never"));
    let running = start(api.operator("tester"));
    seconds(3600).await;
    assert_eq!(running.script.runs("a"), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_at_once_and_without_an_event() {
    let api = FakeApi::new();
    api.put(&config("a", "conflict"));
    let running = start(api.operator("tester"));
    seconds(1).await;
    assert!(running.script.runs("a").len() >= 2);
    assert!(api.list::<Event>().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_look_again_is_kept() {
    let api = FakeApi::new();
    api.put(&config("a", "again"));
    let running = start(api.operator("tester"));
    seconds(25).await;
    assert_eq!(running.script.runs("a").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_one_object_only() {
    let api = FakeApi::new();
    api.put(&config("a", "panic"));
    let running = start(api.operator("tester"));
    seconds(5).await;
    api.put(&config("b", ""));
    seconds(1).await;
    assert!(running.script.runs("a").len() > 1);
    assert_eq!(running.script.runs("b").len(), 1);
    assert!(running.operator.metrics.text().unwrap().contains(r#"controller="test",reason="Panicked""#));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_is_in_work_is_finished() {
    let api = FakeApi::new();
    api.put(&config("a", "slow"));
    let running = start(api.operator("tester"));
    seconds(1).await;
    let asked = Time::now();
    running.operator.shutdown.cancel();
    running.task.await.unwrap().unwrap();
    assert!(asked.elapsed() > Duration::from_secs(3));
    assert!(
        running.operator.metrics.text().unwrap().contains(r#"reconcile_seconds_count{controller="test"} 1"#)
    );
}

#[tokio::test]
async fn a_queue_feeds_one_controller() {
    let api = FakeApi::new();
    let operator = api.operator("tester");
    let (queue, cache) = (Queue::<ConfigMap>::new(), Cache::fixed([]));
    let first = run(&operator, "one", &cache, queue.clone(), Arc::new(Script::default()), reconcile);
    let second = run(&operator, "two", &cache, queue.clone(), Arc::new(Script::default()), reconcile);
    tokio::select! {
        biased;
        ended = first => panic!("{ended:?}"),
        ended = second => assert!(ended.unwrap_err().to_string().contains("its queue has a controller already")),
    }
}

#[test]
fn an_object_waits_once_until_a_worker_begins_with_it() {
    let depth = Gauge::default();
    let waiting = Waiting::<ConfigMap> { objects: Mutex::default(), depth: depth.clone() };
    waiting.add(&named("a", Some("demo")));
    waiting.add(&named("a", Some("demo")));
    waiting.add(&named("b", None));
    assert_eq!(depth.get(), 2);
    waiting.remove("a", Some("demo"));
    waiting.remove("a", Some("demo"));
    assert_eq!(depth.get(), 1);
}
