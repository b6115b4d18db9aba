//! The progress of the update: redrawn in place on a terminal, a line for each change elsewhere.

use std::io::IsTerminal;

use anyhow::Result;
use api::CassandraOpsRequest;
use e2e::kubectl::{condition, text};
use e2e::load;
use serde_json::Value;

use crate::NAMESPACE;
use crate::summary::pods;

/// What is shown at one moment.
pub struct Picture {
    request: String,
    pods: Vec<String>,
    load: String,
}

impl Picture {
    /// Looks at the cluster.
    pub fn of(request: &CassandraOpsRequest) -> Result<Self> {
        let progress = request.status.as_ref().and_then(|status| status.progress.clone());
        let sums = load::progress(NAMESPACE);
        Ok(Self {
            request: format!("{:?} {}", request.phase(), progress.unwrap_or_default()),
            pods: pods()?.iter().map(pod).collect(),
            load: format!("{} rows acknowledged, {} requests failed", sums.acknowledged, sums.failures()),
        })
    }
}

/// Such as `ring-rack-a-0 5.0.6 Ready`.
fn pod(pod: &Value) -> String {
    let container =
        pod["spec"]["containers"].as_array().into_iter().flatten().find(|c| c["name"] == "cassandra");
    let image = container.map(|container| text(container, "/image")).unwrap_or_default();
    let tag = image.rsplit(':').next().unwrap_or_default();
    let state = if pod["metadata"]["deletionTimestamp"].is_string() {
        "stops"
    } else if condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True") {
        "Ready"
    } else {
        "starts"
    };
    format!("{} {tag} {state}", text(pod, "/metadata/name"))
}

/// Where pictures are shown.
#[derive(Default)]
pub struct Screen {
    shown: Vec<String>,
}

impl Screen {
    /// Shows the picture, unless it says nothing new.
    pub fn show(&mut self, picture: &Picture) {
        let mut lines = vec![picture.request.clone()];
        lines.extend(picture.pods.iter().cloned());
        if std::io::stdout().is_terminal() {
            lines.push(picture.load.clone());
            self.redraw(lines);
        } else if lines != self.shown {
            println!("    {} | {}", lines.join(" | "), picture.load);
            self.shown = lines;
        }
    }

    fn redraw(&mut self, lines: Vec<String>) {
        if !self.shown.is_empty() {
            // Move up to the first line of the last picture and clear it.
            print!("\x1b[{}A\x1b[J", self.shown.len());
        }
        for line in &lines {
            println!("    {line}");
        }
        self.shown = lines;
    }
}
