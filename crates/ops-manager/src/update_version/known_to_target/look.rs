//! A look into the image of the target for classes of the user's, by the pod that pulls it. Its answer comes back as the
//! message of its end.
//!
//! A jar holds the names of its files as they are, so that `grep` finds them without anything to unpack it with. One class
//! that every image of Cassandra has is looked for too: where that is not found, the look has seen nothing.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Container;

use super::schema::is_of_a_class;

/// What a look was for, and what it found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Look {
    /// The classes that were looked for.
    pub asked: BTreeSet<String>,
    /// Those that are there. `None`: it has not ended, or it saw nothing.
    pub found: Option<BTreeSet<String>>,
}

/// In every image of Cassandra.
const CONTROL: &str = "org.apache.cassandra.service.CassandraDaemon";
/// The kubelet keeps 4096 bytes of the answer.
const ANSWER_BYTES: usize = 3500;
const NAME: &str = "look";

/// Classes lie in jars, or as files in folders of their packages.
const SCRIPT: &str = r#"
cd "${CASSANDRA_HOME:-/opt/cassandra}/lib" || exit 0
export LC_ALL=C
{
  timeout 120 grep -RhoaFs "$@" . /etc/cassandra
  find . /etc/cassandra -name '*.class' 2>/dev/null | grep -oF "$@"
} | sort -u >/dev/termination-log
"#;

/// The command of the pod. The names are arguments of a script that does not change: whatever they are, no shell reads them.
pub(in super::super) fn command(classes: &[String]) -> Vec<String> {
    if classes.is_empty() {
        return vec!["true".to_owned()];
    }
    let files = classes.iter().map(String::as_str).chain([CONTROL]).map(file);
    let patterns = files.flat_map(|file| ["-e".to_owned(), file]);
    ["sh", "-c", SCRIPT, NAME].map(str::to_owned).into_iter().chain(patterns).collect()
}

/// Reads a pod: what it looks for, and what it has found.
pub(in super::super) fn read(container: Option<&Container>, answer: Option<&str>) -> Look {
    let command = container.and_then(|container| container.command.as_deref()).unwrap_or_default();
    let arguments = command.iter().skip_while(|word| *word != NAME).skip(1).filter(|word| *word != "-e");
    let mut asked: BTreeSet<String> = arguments.map(|file| class(file)).collect();
    asked.remove(CONTROL);
    let mut found: BTreeSet<String> = answer.unwrap_or_default().lines().map(class).collect();
    Look { asked, found: found.remove(CONTROL).then_some(found) }
}

/// Those that can be looked for at once: what is no name of a class is in no image.
pub(super) fn askable(classes: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut bytes = file(CONTROL).len() + 1;
    let mut fits = |class: &String| {
        bytes += file(class).len() + 1;
        bytes <= ANSWER_BYTES
    };
    classes.into_iter().filter(|class| class.chars().all(is_of_a_class)).take_while(|it| fits(it)).collect()
}

fn file(class: &str) -> String {
    format!("{}.class", class.replace('.', "/"))
}

fn class(file: &str) -> String {
    file.strip_suffix(".class").unwrap_or(file).replace('/', ".")
}
