//! Looks for classes of the user's in the image of the target. The pod that pulls the image does it, and answers in its
//! termination message.
//!
//! A jar contains the names of its files uncompressed, so `grep` finds them and no tool to unpack it is needed. The search
//! includes a class that every image of Cassandra has: if that is not found, the search did not work.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Container;

use super::schema::is_of_a_class;

/// The classes that were searched, and the result.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Look {
    /// The classes that were searched.
    pub asked: BTreeSet<String>,
    /// Those of them that exist. `None`: the search has not ended, or did not work.
    pub found: Option<BTreeSet<String>>,
}

/// A class that every image of Cassandra has.
const CONTROL: &str = "org.apache.cassandra.service.CassandraDaemon";
/// Limit for the answer; the kubelet keeps 4096 bytes of a termination message.
const ANSWER_BYTES: usize = 3500;
const NAME: &str = "look";

/// Searches jars, and files in the folders of packages.
const SCRIPT: &str = r#"
cd "${CASSANDRA_HOME:-/opt/cassandra}/lib" || exit 0
export LC_ALL=C
{
  timeout 120 grep -RhoaFs "$@" . /etc/cassandra
  find . /etc/cassandra -name '*.class' 2>/dev/null | grep -oF "$@"
} | sort -u >/dev/termination-log
"#;

/// The command of the pod. The script is constant and gets the names as arguments, so no shell interprets them.
pub(crate) fn command(classes: &[String]) -> Vec<String> {
    if classes.is_empty() {
        return vec!["true".to_owned()];
    }
    let files = classes.iter().map(String::as_str).chain([CONTROL]).map(file);
    let patterns = files.flat_map(|file| ["-e".to_owned(), file]);
    ["sh", "-c", SCRIPT, NAME].map(str::to_owned).into_iter().chain(patterns).collect()
}

/// Reads from a pod what it searches and what it has found.
pub(crate) fn read(container: Option<&Container>, answer: Option<&str>) -> Look {
    let command = container.and_then(|container| container.command.as_deref()).unwrap_or_default();
    let arguments = command.iter().skip_while(|word| *word != NAME).skip(1).filter(|word| *word != "-e");
    let mut asked: BTreeSet<String> = arguments.map(|file| class(file)).collect();
    asked.remove(CONTROL);
    let mut found: BTreeSet<String> = answer.unwrap_or_default().lines().map(class).collect();
    Look { asked, found: found.remove(CONTROL).then_some(found) }
}

/// Those classes that one search can cover. A text that is not a class name is in no image.
pub(crate) fn askable(classes: impl IntoIterator<Item = String>) -> Vec<String> {
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
