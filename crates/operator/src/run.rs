//! The life of an operator process, from the first log line to the released lease.

use std::{future::Future, time::Duration};

use anyhow::{Context, bail};
use k8s_openapi::{
    api::coordination::v1::Lease,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::{
    Clock, Events, Leader, Operator, Options, Scope, Writer, client,
    ending::Ending,
    leader::Elector,
    metrics::Metrics,
    probes::{self, Health},
    requirements, shutdown, telemetry, version,
};

/// How long controllers may take to finish the reconciles under way.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs an operator until it is asked to end by SIGTERM or SIGINT.
///
/// It connects, serves probes and metrics, waits until the definitions are served and the namespaces exist, and then calls
/// `controllers`, in followers too, so that their caches are warm; [`controller::run`](crate::controller::run) waits for
/// the leadership. At the end, controllers drain for at most 20 seconds and then the lease is released. If the lease is
/// lost, or any part ends by itself, the process ends with an error.
pub async fn run<F, Fut>(
    name: &'static str,
    options: Options,
    definitions: &[CustomResourceDefinition],
    controllers: F,
) -> anyhow::Result<()>
where
    F: FnOnce(Operator) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    telemetry::start(&options)?;
    tracing::info!("{name} {} starts", version());
    let (metrics, health, ending) = (Metrics::new(), Health::new(), Ending::default());
    let client = client::connect(name, &metrics).await?;
    let (_, server) = probes::serve(options.listen, health.clone(), metrics.clone()).await?;
    let instance = instance();
    let (leader, elector) = candidate(&client, name, &options, &instance, &metrics, &health);
    let operator = Operator {
        writer: Writer::new(client.clone(), leader.clone(), name, metrics.clone(), ending.clone()),
        events: Events::new(client.clone(), leader.clone(), name, instance, ending),
        leader,
        shutdown: CancellationToken::new(),
        clock: Clock::system(),
        scope: Scope::new(options.namespaces),
        concurrency: options.concurrency,
        client,
        metrics,
        health,
    };

    let release = CancellationToken::new();
    let election = async {
        if let Some(elector) = elector {
            return elector.run(release.clone()).await;
        }
        release.cancelled().await;
        Ok(())
    };
    let life = async {
        let drained = live(&operator, definitions, controllers).await;
        release.cancel();
        drained
    };
    tokio::select! {
        ended = server => ended.and_then(|()| bail!("the server of probes and metrics ended")),
        both = async { tokio::try_join!(election, life) } => both.map(|_| tracing::info!("{name} ends")),
    }
}

/// Everything between the start and the release of the lease.
async fn live<F, Fut>(
    operator: &Operator,
    definitions: &[CustomResourceDefinition],
    controllers: F,
) -> anyhow::Result<()>
where
    F: FnOnce(Operator) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let namespaces = operator.scope.instances().into_iter().flatten();
    let work = async {
        tokio::select! {
            () = requirements::fulfilled(&operator.client, definitions, namespaces, &operator.health) => {}
            () = operator.shutdown.cancelled() => return Ok(()),
        }
        controllers(operator.clone()).await
    };
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => return ended.and_then(|()| bail!("all controllers ended by themselves")),
        signal = shutdown::requested() => {
            let signal = signal.context("cannot listen for signals")?;
            tracing::info!("{signal}: finishing what is in work");
        }
    }
    let _not_ready = operator.health.waiting("the end of this process".to_owned());
    operator.shutdown.cancel();
    tokio::time::timeout(DRAIN, work).await.unwrap_or_else(|_| {
        tracing::warn!("work was not finished within {} s and is left to the next leader", DRAIN.as_secs());
        Ok(())
    })
}

/// Identity of this process: new with every start, so that a restarted container does not believe that it still leads.
fn instance() -> String {
    let host = ["POD_NAME", "HOSTNAME"].iter().find_map(|name| std::env::var(name).ok());
    format!("{}_{:08x}", host.as_deref().unwrap_or("local"), rand::random::<u32>())
}

fn candidate(
    client: &Client,
    name: &str,
    options: &Options,
    instance: &str,
    metrics: &Metrics,
    health: &Health,
) -> (Leader, Option<Elector>) {
    if !options.leader_elect {
        metrics.leader.set(1);
        return (Leader::always(), None);
    }
    let namespace = options.lease_namespace.as_deref().unwrap_or_else(|| client.default_namespace());
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let unknown = health.waiting(format!("the lease {name} in namespace {namespace}"));
    let (elector, leader) = Elector::new(api, name, instance.to_owned(), metrics.leader.clone(), unknown);
    (leader, Some(elector))
}
