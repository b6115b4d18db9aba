//! The logs of the nodes during a row. The log of a pod is deleted with the pod, so it is copied while it is written.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::stage::{NAMESPACE, PODS};

/// Time between two looks for a pod that is gone or not there yet; the end of a row may have to wait as long.
const LOOK: Duration = Duration::from_millis(500);

/// Writes the logs of all nodes, one file each, until it is dropped.
pub struct NodeLogs {
    over: Arc<AtomicBool>,
    followers: Vec<JoinHandle<()>>,
}

impl NodeLogs {
    /// Starts to write the logs of the row `name` into the folder.
    pub fn follow(folder: &Path, name: &str) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let follow = |pod| {
            let path = folder.join(format!("{name}.{pod}.txt"));
            let file = open(&path).with_context(|| format!("creating {}", path.display()))?;
            let over = over.clone();
            Ok(thread::spawn(move || follow(pod, &file, &over)))
        };
        let followers = PODS.into_iter().map(follow).collect::<Result<_>>()?;
        Ok(Self { over, followers })
    }
}

impl Drop for NodeLogs {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for follower in self.followers.drain(..) {
            // A follower that panicked has printed why.
            _ = follower.join();
        }
    }
}

fn open(path: &PathBuf) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Copies the logs of all pods of this name, one after the other.
fn follow(pod: &str, file: &File, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        // A log that cannot be read now is tried again.
        if let Ok(mut child) = start(pod, file) {
            while !over.load(Ordering::Relaxed) && matches!(child.try_wait(), Ok(None)) {
                sleep(LOOK);
            }
            _ = child.kill();
            _ = child.wait();
        }
        sleep(LOOK);
    }
}

fn start(pod: &str, file: &File) -> std::io::Result<Child> {
    Command::new("kubectl")
        .args(["logs", "--follow", "--container=cassandra", "--namespace", NAMESPACE, pod])
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(Stdio::null())
        .spawn()
}
