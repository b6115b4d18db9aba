//! File access in the pod, and its errors.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the configuration could not be rendered. Kubernetes shows it as the message of the failed init container.
#[derive(Debug, Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {verb} {path}: {source}")]
    File {
        /// What was tried: `read`, `write`, `adapt`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file has malformed or forbidden content.
    #[error("{origin}: {problem}")]
    Content {
        /// Where the content comes from, in terms of the user's spec.
        origin: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
}

pub(crate) fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { verb: "read", path: path.to_owned(), source }),
    }
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|source| Error::File { verb: "write", path: path.to_owned(), source })
}
