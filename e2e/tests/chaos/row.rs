//! A row of the matrix: one fault at one step of one update, and the required outcome.

use std::fmt;
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::kubectl::{condition, text};
use e2e::{load, update};
use serde_json::Value;

use crate::node_logs::NodeLogs;
use crate::stage::{NAMESPACE, RING, Shape, Stage};

/// The required outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The ring runs the target.
    Updated,
    /// The request has failed, and the ring runs what it ran before; at most the first pod was ever renewed.
    RolledBack,
    /// The same, but the bad image served for a while, and may have reached other pods meanwhile.
    Returned,
    /// The request is gone, and the ring runs what it ran before.
    Stopped,
    /// There was no request.
    Unchanged,
}

/// Whether the fault itself ends a Cassandra process. If so, requests of clients may fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Nodes {
    Untouched,
    Hit,
}

type Act = dyn Fn(&mut Stage) -> Result<String>;

pub struct Row {
    pub fault: &'static str,
    pub step: String,
    pub ending: Ending,
    pub nodes: Nodes,
    /// The ring that it needs, and of which release.
    shape: Shape,
    release: Option<&'static str>,
    /// Requests the update and causes the fault. The text that it returns is added to the outcome.
    pub act: Box<Act>,
}

impl Row {
    pub fn new(
        fault: &'static str,
        step: impl Into<String>,
        ending: Ending,
        act: impl Fn(&mut Stage) -> Result<String> + 'static,
    ) -> Self {
        let (nodes, shape) = (Nodes::Untouched, Shape::Three);
        Self { fault, step: step.into(), ending, nodes, shape, release: None, act: Box::new(act) }
    }

    pub fn hits_nodes(self) -> Self {
        Self { nodes: Nodes::Hit, ..self }
    }

    pub fn on(self, shape: Shape, release: &'static str) -> Self {
        Self { shape, release: Some(release), ..self }
    }

    pub fn name(&self) -> String {
        format!("{} {}", self.fault, self.step).replace(' ', "-")
    }

    pub fn is_selected(&self, words: &[String]) -> bool {
        let name = self.name();
        words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
    }

    /// Plays the row, and leaves a ring that the next row can use, or marks the stage as spoilt.
    pub fn play(&self, stage: &mut Stage) -> Line {
        let mut line = Line { fault: self.fault, step: self.step.clone(), ..Line::default() };
        let played = stage.prepare(self.shape, self.release).and_then(|()| self.fill(stage, &mut line));
        match played {
            Ok(outcome) => line.outcome = outcome,
            Err(error) => {
                stage.evidence(&self.name());
                stage.spoil();
                line.wrong = true;
                // What follows the first line is the state of the namespace, which is kept as evidence.
                line.outcome = format!("{error:#}").lines().take(1).collect();
            }
        }
        line
    }

    fn fill(&self, stage: &mut Stage, line: &mut Line) -> Result<String> {
        let _logs = NodeLogs::follow(&stage.folder, &self.name())?;
        let before = stage.pods()?;
        let started = Instant::now();
        let note = (self.act)(stage)?;
        let request = if self.ending == Ending::Unchanged { Value::Null } else { stage.end()? };
        line.seconds = started.elapsed().as_secs();
        let outcome = self.ending.check(stage, &request, &before);
        let verdict = load::stop(NAMESPACE)?;
        (line.failed, line.lost) = (verdict.load.failures(), verdict.lost + verdict.unreadable);
        let outcome = outcome?;
        // For a ring of three, a node that is killed while another one is down is a second fault: what it acknowledged in its
        // last moment may be on one other node only, until a read at ALL or a repair finds it there.
        let enough = if self.nodes == Nodes::Hit { verdict.nothing_lost() } else { verdict.all_is_there() };
        ensure!(enough, "{verdict}");
        let failures = load::failures(NAMESPACE);
        let first = failures
            .first()
            .map(|failure| format!("{} at {:.0} s: {}", failure.operation, failure.at, failure.error));
        ensure!(
            self.nodes == Nodes::Hit || line.failed == 0,
            "{} requests failed, the first: {}",
            line.failed,
            first.unwrap_or_default()
        );
        let behind = match verdict.behind {
            0 => String::new(),
            rows => format!("{rows} rows were on one node only"),
        };
        Ok([outcome, note, behind].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "))
    }
}

impl Ending {
    /// Checks that this is the outcome; returns it in words.
    fn check(self, stage: &Stage, request: &Value, before: &[String]) -> Result<String> {
        let found = text(request, "/status/phase");
        let word = condition(request, "Failed").map(|failed| text(failed, "/message")).unwrap_or_default();
        let (phase, version) = match self {
            Self::Updated => ("Successful", &stage.target),
            Self::RolledBack | Self::Returned => ("Failed", &stage.source),
            Self::Stopped | Self::Unchanged => ("", &stage.source),
        };
        ensure!(found == phase, "the request ended as {found:?}, not as {phase:?}: {word}");
        update::is_whole_on(NAMESPACE, RING, stage.shape.pods(), version)?;
        let renewed = before.iter().zip(stage.pods()?).filter(|(old, new)| *old != new).count();
        ensure!(self != Self::RolledBack || renewed <= 1, "{renewed} pods were renewed with a bad image");
        Ok(match self {
            Self::Updated => format!("Successful, {version}"),
            Self::RolledBack | Self::Returned => {
                format!("Failed, {renewed} pod renewed, back on {version}: {}", brief(&word))
            }
            Self::Stopped => format!("stopped, back on {version}"),
            Self::Unchanged => format!("Ready on {version}"),
        })
    }
}

/// The first sentence, not too long for a table.
fn brief(word: &str) -> String {
    word.split(". ").next().unwrap_or_default().chars().take(90).collect()
}

/// The result of a row.
#[derive(Default)]
pub struct Line {
    fault: &'static str,
    step: String,
    outcome: String,
    seconds: u64,
    failed: u64,
    lost: u64,
    wrong: bool,
}

impl Line {
    pub fn is_good(&self) -> bool {
        !self.wrong
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, step, outcome, seconds, failed, lost, wrong } = self;
        let mark = if *wrong { "WRONG: " } else { "" };
        write!(f, "{fault:<26} {step:<16} {seconds:>7} {failed:>6} {lost:>4}  {mark}{outcome}")
    }
}

/// The table of all results.
pub fn table(lines: &[Line]) -> String {
    let head =
        format!("{:<26} {:<16} {:>7} {:>6} {:>4}  outcome", "fault", "step", "seconds", "failed", "lost");
    let rows = lines.iter().map(ToString::to_string);
    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
}
