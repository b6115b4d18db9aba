//! What both binaries can do besides being an operator.

use std::{io::Write, time::Duration};

use anyhow::{Context, bail, ensure};
use clap::Subcommand;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{client, metrics::Metrics};

/// How long another operator may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

// What both binaries can do besides being an operator.
#[expect(missing_docs, reason = "clap would show it as the description of the binary that flattens this")]
#[derive(Subcommand)]
pub enum Tool {
    /// Print the CustomResourceDefinitions as YAML.
    Crd {
        /// Apply them to the cluster instead.
        #[arg(long)]
        apply: bool,
    },
    /// Ask running operators whether they are ready; if not, print what they wait for, and fail.
    Check {
        /// HOST:PORT that serves /readyz.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
    },
}

impl Tool {
    /// Runs the subcommand. `name` is the name of the binary.
    pub async fn run(self, name: &str, definitions: &[CustomResourceDefinition]) -> anyhow::Result<()> {
        match self {
            Self::Crd { apply: false } => {
                let mut out = std::io::stdout().lock();
                for definition in definitions {
                    write!(out, "---\n{}", serde_yaml::to_string(definition)?)?;
                }
                Ok(())
            }
            Self::Crd { apply: true } => apply(name, definitions).await,
            Self::Check { addresses } => {
                for address in addresses {
                    let question = tokio::time::timeout(ANSWER, ready(&address));
                    question
                        .await
                        .with_context(|| format!("{address} does not answer within {ANSWER:?}"))??;
                }
                Ok(())
            }
        }
    }
}

async fn apply(name: &str, definitions: &[CustomResourceDefinition]) -> anyhow::Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client::connect(name, &Metrics::new()).await?);
    // Both binaries apply the definitions under the same field manager.
    let params = PatchParams::apply("cassandra-operators").force();
    for definition in definitions {
        let name = definition.metadata.name.as_deref().unwrap_or_default();
        api.patch(name, &params, &Patch::Apply(definition))
            .await
            .with_context(|| format!("cannot apply CustomResourceDefinition {name}"))?;
        writeln!(std::io::stdout(), "applied {name}")?;
    }
    Ok(())
}

/// Sends the simplest possible HTTP request, which the server here understands.
async fn ready(address: &str) -> anyhow::Result<()> {
    let mut stream =
        TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.starts_with("HTTP/"), "{address} does not speak HTTP");
    if status.split(' ').nth(1) != Some("200") {
        bail!("{address} is not ready: {}", body.trim().replace('\n', "; "));
    }
    writeln!(std::io::stdout(), "{address} is ready")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{probes, probes::Health};

    #[tokio::test]
    async fn an_operator_that_waits_fails_the_check_with_its_reasons() {
        let health = Health::new();
        let (address, server) =
            probes::serve(([127, 0, 0, 1], 0).into(), health.clone(), Metrics::new()).await.unwrap();
        let server = tokio::spawn(server);
        let check = || Tool::Check { addresses: vec![address.to_string()] }.run("test", &[]);
        check().await.unwrap();
        let _lease = health.waiting("the lease".to_owned());
        let error = check().await.unwrap_err().to_string();
        assert_eq!(error, format!("{address} is not ready: waiting for the lease"));
        server.abort();
    }
}
