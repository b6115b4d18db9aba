//! Why a Cassandra process exited by itself, from its log.
//!
//! The last lines of the log are the noise of the shutdown. The cause is above them: the error with which Cassandra gave up,
//! and the innermost exception of its stack trace.

/// Characters shown of one sentence of the log.
const LONGEST_PART: usize = 300;
/// Bytes shown of a log in which nothing explains the exit.
const LONGEST_TAIL: usize = 500;

/// The cause of the exit in one line of bounded length; the last lines of the log if nothing in it explains the exit.
pub fn of(log: &str) -> String {
    let entries = entries(log);
    last_words(&entries).map_or_else(|| tail(log), Entry::sentence)
}

/// An entry of the log, with the lines that belong to it.
#[derive(Debug, Default)]
struct Entry<'a> {
    level: &'a str,
    thread: &'a str,
    /// File and line of the source.
    place: &'a str,
    said: &'a str,
    more: Vec<&'a str>,
}

/// An exception of a stack trace: the last part of its class name, and its message.
#[derive(Clone, Debug, Default)]
struct Exception {
    class: String,
    said: String,
}

/// The entry that explains the exit: the first line of the JVM itself, since its further lines follow from it; else the last
/// entry of the highest rank.
fn last_words<'e, 'a>(entries: &'e [Entry<'a>]) -> Option<&'e Entry<'a>> {
    // Errors during the shutdown are consequences of the cause.
    let stops = entries.iter().position(|entry| entry.thread.contains("ShutdownHook"));
    let before = &entries[..stops.unwrap_or(entries.len())];
    let best = |entries: &'e [Entry<'a>]| {
        let of_jvm = entries.iter().find(|one| one.level == FATAL);
        of_jvm.or_else(|| entries.iter().filter(|one| one.rank() > 0).max_by_key(|one| one.rank()))
    };
    best(before).or_else(|| best(entries))
}

impl<'a> Entry<'a> {
    /// Parses the first line of an entry: `LEVEL  [thread] date File.java:1 - message`, the format of all Cassandra images, or
    /// a line of the JVM itself.
    fn begins(line: &'a str) -> Option<Self> {
        const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
        if let Some(level) = LEVELS.into_iter().find(|level| line.starts_with(level)) {
            let (thread, rest) = line[level.len()..].trim_start().strip_prefix('[')?.split_once("] ")?;
            let (head, said) = rest.split_once(" - ").unwrap_or(("", rest));
            let place = head.rsplit(' ').next().unwrap_or_default();
            return Some(Self { level, thread, place, said, more: vec![] });
        }
        let jvm = JVM.iter().any(|beginning| line.starts_with(beginning));
        jvm.then(|| Self { level: FATAL, said: line, ..Self::default() })
    }

    /// How well it explains the exit: 2 if Cassandra gives up with this error, 1 for any other error, else 0.
    fn rank(&self) -> u8 {
        const GIVES_UP: [&str; 4] =
            ["encountered during startup", "Exiting ", "JVM state determined", "OutOfMemory"];
        let gives_up = (self.place.starts_with("CassandraDaemon.java") && self.thread == "main")
            || GIVES_UP.iter().any(|words| self.said.contains(words));
        if self.level == "ERROR" { 1 + u8::from(gives_up) } else { 0 }
    }

    /// The headline, the first exception with a message and the root cause, each only if it adds something.
    fn sentence(&self) -> String {
        let exceptions = self.exceptions();
        let headline = self.headline(&exceptions);
        let speaks = |one: &&Exception| !one.said.is_empty() && one.said != "null";
        let last = exceptions.iter().rfind(speaks).or(exceptions.last());
        // An exception that only repeats its cause adds nothing.
        let first = exceptions
            .iter()
            .find(speaks)
            .filter(|first| last.is_none_or(|last| !last.said.contains(&first.said)));
        let told = |one: &Exception| {
            let text =
                if one.said.is_empty() { one.class.clone() } else { format!("{}: {}", one.class, one.said) };
            (text, one.said.clone())
        };
        let headline = headline.map(|headline| (headline.clone(), headline));
        let mut parts: Vec<String> = vec![];
        for (text, essence) in headline.into_iter().chain(first.map(told)).chain(last.map(told)) {
            if essence.is_empty() || !parts.iter().any(|before| before.contains(&essence)) {
                parts.push(cut(text.trim_end_matches('.'), LONGEST_PART));
            }
        }
        parts.join(": ")
    }

    /// The message above the stack trace; `None` if it only announces the trace.
    fn headline(&self, exceptions: &[Exception]) -> Option<String> {
        const ANNOUNCES: [&str; 5] = [
            "Exception encountered during startup",
            "Fatal configuration error",
            "Fatal exception during initialization",
            "Exception in thread",
            "JVM state determined to be unstable",
        ];
        let lines = self.more.iter().take_while(|line| !is_trace(line) && exception(line).is_none());
        let said = one_line(std::iter::once(self.said).chain(lines.copied()));
        let said = said.strip_prefix("Exception encountered during startup: ").unwrap_or(&said);
        let announces = !exceptions.is_empty() && ANNOUNCES.iter().any(|words| said.starts_with(words));
        (!announces && !said.is_empty()).then(|| said.to_owned())
    }

    /// The exceptions of the stack trace, from the outermost to the root cause.
    fn exceptions(&self) -> Vec<Exception> {
        let mut found: Vec<Exception> = vec![];
        let mut open = false;
        for line in &self.more {
            let cause = line.strip_prefix("Caused by: ");
            if let Some(next) =
                exception(cause.unwrap_or(line)).filter(|_| cause.is_some() || found.is_empty())
            {
                found.push(next);
                open = true;
            } else if is_trace(line) {
                open = false;
            } else if let (true, Some(last)) = (open, found.last_mut()) {
                last.said = one_line([last.said.as_str(), line]);
            }
        }
        for one in &mut found {
            one.said = one_line([without_classes(&one.said)]);
        }
        found
    }
}

/// Beginnings of lines that the JVM itself prints, outside of Cassandra's log format: out of memory, or invalid options.
const JVM: [&str; 6] = [
    "Terminating due to java.lang.OutOfMemoryError",
    "Error occurred during initialization of VM",
    "Error: ",
    "Unrecognized VM option",
    "# There is insufficient memory",
    "Exception in thread \"main\"",
];
const FATAL: &str = "FATAL";

fn entries(log: &str) -> Vec<Entry<'_>> {
    let mut entries = vec![Entry::default()];
    for line in log.lines() {
        match Entry::begins(line) {
            Some(entry) => entries.push(entry),
            None => {
                if let Some(entry) = entries.last_mut() {
                    entry.more.push(line);
                }
            }
        }
    }
    entries
}

/// Parses `org.some.Class: message`.
fn exception(line: &str) -> Option<Exception> {
    let (class, said) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
    is_class(class).then(|| {
        let class = class.rsplit(['.', '$']).next().unwrap_or(class).to_owned();
        Exception { class, said: said.trim().to_owned() }
    })
}

fn is_class(word: &str) -> bool {
    let last = word.rsplit('.').next().unwrap_or_default();
    word.contains('.')
        && !word.contains(char::is_whitespace)
        && last.starts_with(|first: char| first.is_ascii_uppercase())
        && word.chars().all(|one| one.is_ascii_alphanumeric() || ".$_".contains(one))
}

fn is_trace(line: &str) -> bool {
    line.starts_with('\t') || line.trim_start().starts_with("at ") || line.starts_with("Caused by:")
}

/// Strips class names from the start of a message: an exception without a message of its own has `class: message` of its cause.
fn without_classes(said: &str) -> &str {
    match said.split_once(": ") {
        Some((class, rest)) if is_class(class) => without_classes(rest),
        _ => said,
    }
}

fn one_line<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    lines.into_iter().flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The end of a log that explains nothing.
fn tail(log: &str) -> String {
    const LINES: usize = 5;
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines[lines.len().saturating_sub(LINES)..].join(" | ");
    let start = text.len().saturating_sub(LONGEST_TAIL);
    let start = (start..=text.len()).find(|&position| text.is_char_boundary(position)).unwrap_or_default();
    text[start..].to_owned()
}

#[cfg(test)]
mod tests;
