//! Every command of the documentation, run in the order in which a reader meets it.
//!
//! A block of the language `sh` is run as it stands: all blocks of a file in one shell, from the root of the checkout. So a
//! guide needs no marks for its test, and its commands can be pasted as they are. It creates its own namespaces and removes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use e2e::kubectl::{get, kubectl, remove_namespace};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Blocks of the language `text` hold commands that cannot be run here: a file, the first line of a block, and why.
const NOT_RUN: [(&str, &str, &str); 8] = [
    ("README.md", "make demo", "builds the cluster and empties it"),
    ("README.md", "eval \"$(e2e/cluster/cluster env)\"", "needs the demo, and ends the cluster"),
    ("README.md", "skopeo copy docker-archive:<archive>", "needs a registry and another cluster"),
    ("README.md", "skopeo copy docker-archive:cassandra-", "needs a registry"),
    ("docs/contributing.md", "make check", "these are tests themselves"),
    ("docs/guides/operating.md", "helm upgrade cassandra-operators", "would change the operators under test"),
    ("docs/guides/operating.md", "kubectl port-forward", "does not end by itself"),
    ("docs/guides/quickstart.md", "kubectl run cqlsh", "needs a terminal and the official image"),
];

/// First line of the script, in place of the first line of the file, which is a heading. Prints each command with its second
/// and its line, and what failed.
const TRACE: &str = concat!(
    r#"trap 'echo "$0:$LINENO: ended with $?" >&2' ERR; "#,
    r#"trap 'printf "%4d s  %s:%d: %s\n" "$SECONDS" "$0" "$LINENO" "${BASH_COMMAND%%$'"'\n'"'*}" >&2' DEBUG"#,
);

#[test]
fn a_block_is_run_or_known() -> Result<()> {
    let mut known = NOT_RUN.to_vec();
    for file in files()? {
        for Block { language, line, text } in blocks(&read(&file)?) {
            let first = text.lines().next().unwrap_or_default();
            let is_this = |(of, start, _): &(&str, &str, &str)| *of == file && first.starts_with(*start);
            match language.as_str() {
                "sh" | "mermaid" => {}
                "text" if known.iter().any(is_this) => known.retain(|entry| !is_this(entry)),
                other => bail!(
                    "{file}:{line}: nobody runs a block of {other:?}: make it `sh`, or add it to NOT_RUN"
                ),
            }
        }
    }
    ensure!(known.is_empty(), "NOT_RUN names blocks that are not there: {known:?}");
    Ok(())
}

#[test]
fn a_link_leads_to_a_file() -> Result<()> {
    for file in files()? {
        let folder = Path::new(ROOT).join(&file).parent().context("no folder")?.to_owned();
        for event in Parser::new(&read(&file)?) {
            let Event::Start(Tag::Link { dest_url, .. }) = event else { continue };
            let path = dest_url.split('#').next().unwrap_or_default();
            let there = path.contains("://") || folder.join(path).exists();
            ensure!(there, "{file}: there is no {path}");
        }
    }
    Ok(())
}

#[test]
fn every_command_works() -> Result<()> {
    ensure!(
        std::env::var_os("KUBE_CONTEXT").is_none() && std::env::var_os("KUBECONFIG").is_some(),
        "the commands are for whatever cluster kubectl points to: start this with `make docs-test`, without KUBE_CONTEXT"
    );
    let selected = std::env::var("DOC").unwrap_or_default();
    for file in files()?.iter().filter(|file| file.contains(&selected)) {
        let script = script(&blocks(&read(file)?));
        if script != TRACE {
            run(file, &script)?;
        }
    }
    Ok(())
}

fn run(file: &str, script: &str) -> Result<()> {
    let namespaces: Vec<_> =
        script.lines().filter_map(|line| line.strip_prefix("kubectl create namespace ")).collect();
    namespaces.iter().try_for_each(|name| remove_namespace(name))?;
    eprintln!("==> {file}");
    let started = Instant::now();
    let ended = Command::new("bash")
        .args(["-Eeuo", "pipefail", "-c", script, file])
        .current_dir(ROOT)
        .stdin(Stdio::null())
        .status()
        .context("bash cannot be started")?;
    eprintln!("==> {file}: {} s", started.elapsed().as_secs());
    if !ended.success() {
        let state = kubectl(&["describe", "cas,casops", "--all-namespaces"]);
        bail!(
            "{file}: {ended}; the line is named above\n{}",
            state.unwrap_or_else(|error| error.to_string())
        );
    }
    for name in namespaces {
        ensure!(get("", &format!("namespace/{name}"))? == Value::Null, "{file} leaves the namespace {name}");
    }
    Ok(())
}

/// The commands of a file, each on the line that it has in the file, so that the shell names that one.
fn script(blocks: &[Block]) -> String {
    let mut lines = vec![TRACE];
    for block in blocks.iter().filter(|block| block.language == "sh") {
        lines.resize(block.line - 1, "");
        lines.extend(block.text.lines());
    }
    lines.join("\n")
}

/// A block of code.
struct Block {
    language: String,
    /// Of its first line of code, from 1.
    line: usize,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let (mut blocks, mut inside) = (Vec::<Block>::new(), false);
    for (event, at) in Parser::new(markdown).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.into_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                let line = markdown[..at.start].matches('\n').count() + 2;
                blocks.push(Block { language, line, text: String::new() });
                inside = true;
            }
            Event::Text(text) if inside => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            _ => {}
        }
    }
    blocks
}

/// The README and all that is below `docs`, as paths from the root.
fn files() -> Result<Vec<String>> {
    let mut files = vec!["README.md".to_owned()];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(Path::new(ROOT).join(&folder));
        for entry in entries.with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path.display().to_string());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(Path::new(ROOT).join(file)).with_context(|| file.to_owned())
}
