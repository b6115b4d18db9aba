//! A single cut, and its result.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::proxy::{Fault, When};

pub const OPERATORS: [&str; 2] = ["provisioner", "ops-manager"];

/// A type of request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    Update,
    Restart,
    VerticalScaling,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Update, Self::Restart, Self::VerticalScaling];
}

/// Where an operator dies.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cut {
    /// In a request of this type.
    pub kind: Kind,
    /// Which of [`OPERATORS`].
    pub operator: usize,
    /// At which of its writes in the request, from 1.
    pub number: usize,
    /// Whether that write is done.
    pub done: bool,
}

/// A cut before and one after each write. `counts` are the writes of each operator.
pub fn all(kind: Kind, counts: [usize; 2]) -> Vec<Cut> {
    let of = |operator: usize| {
        let number = 1..=counts[operator];
        number.flat_map(move |number| [false, true].map(|done| Cut { kind, operator, number, done }))
    };
    [0, 1].into_iter().flat_map(of).collect()
}

impl Cut {
    pub fn is_selected(self, words: &[String]) -> bool {
        let name = self.to_string();
        words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
    }

    /// The fault. Its writes are counted from now on.
    pub fn fault(self) -> Fault {
        let when = if self.done { When::After } else { When::Before };
        let seen = AtomicUsize::new(0);
        Fault::Cut(when, Arc::new(move |_| seen.fetch_add(1, Ordering::Relaxed) + 1 == self.number))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.done { "after" } else { "before" };
        let kind = match self.kind {
            Kind::Update => "update",
            Kind::Restart => "restart",
            Kind::VerticalScaling => "scaling",
        };
        write!(f, "{kind}-{}-{when}-{}", OPERATORS[self.operator], self.number)
    }
}

/// The result of a cut.
pub struct Line {
    pub cut: Cut,
    /// The write, such as `patch petsets ring-rack-a`.
    pub write: String,
    /// Seconds from the new start to the next write of the operator, if it had anything left to write.
    pub resumed: Option<f64>,
    /// Seconds from the request to its end.
    pub seconds: f64,
    /// How the request ended, or what is wrong.
    pub outcome: Result<String, String>,
}

impl Line {
    pub fn is_good(&self) -> bool {
        self.outcome.is_ok()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cut, write, resumed, seconds, outcome } = self;
        let cut = cut.to_string();
        let resumed = resumed.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"));
        let (mark, outcome) = match outcome {
            Ok(outcome) => ("", outcome),
            Err(wrong) => ("WRONG: ", wrong),
        };
        write!(f, "{cut:<32} {write:<48} {resumed:>7} {seconds:>7.1}  {mark}{outcome}")
    }
}

/// The table of all results, and the longest time to resume.
pub fn table(lines: &[Line]) -> String {
    let head = format!("{:<32} {:<48} {:>7} {:>7}  outcome", "cut", "write", "resumed", "seconds");
    let rows = lines.iter().map(ToString::to_string);
    let good = lines.iter().filter(|line| line.is_good()).count();
    let longest = lines.iter().filter_map(|line| Some((line.resumed?, line.cut)));
    let longest = longest.max_by(|one, other| one.0.total_cmp(&other.0));
    let longest = longest.map_or(String::new(), |(seconds, cut)| {
        format!("; the longest time from a start to the next write is {seconds:.1} s ({cut})")
    });
    let sum = format!("{good} of {} ended as they should{longest}", lines.len());
    std::iter::once(head).chain(rows).chain([sum]).collect::<Vec<_>>().join("\n")
}
