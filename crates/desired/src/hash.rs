//! A short name for content.

use sha2::{Digest, Sha256};

/// 16 hexadecimal digits of the SHA-256.
pub(crate) fn hash(content: impl AsRef<[u8]>) -> String {
    let hash = Sha256::digest(content).iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    format!("{hash:016x}")
}
