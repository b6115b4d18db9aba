//! Writes the CustomResourceDefinitions into the folder given: `crdgen charts/cassandra-operators/crds`.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: crdgen FOLDER")?);
    for definition in api::schema::definitions()? {
        let name = definition.metadata.name.clone().ok_or("a definition without a name")?;
        std::fs::write(folder.join(format!("{name}.yaml")), serde_yaml::to_string(&definition)?)?;
    }
    Ok(())
}
