//! Manifests as KubeDB's users have them are accepted, down to the last field.

use std::path::Path;

use e2e::kubectl::try_apply;

#[test]
fn manifests_in_the_shape_of_kubedb_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/kubedb");
    let files: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        try_apply(&std::fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
}
