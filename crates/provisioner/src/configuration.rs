//! The files that configure the nodes: reads the user's Secret, and what is stored already.

use std::time::{Duration, Instant};

use api::names;
use desired::{Configuration, Rack, Refusal, Resolved, Stored, mounted, mounted_by};
use k8s_openapi::api::core::v1::Secret;

use crate::context::Context;
use crate::error::Error;
use crate::ring_state::{Read, Settings};

/// How long the content of the user's Secret is taken as unchanged. Without the operator's labels it is in no cache.
const AGAIN: Duration = Duration::from_secs(30);

/// The Secret `spec.configuration.secretName`.
pub enum Custom {
    /// It can be used, or none is named.
    Read(Settings),
    /// The user must change it first.
    Unfit(Refusal),
}

/// Reads the user's Secret. A pod that mounts a missing Secret would wait without an error, see [`desired::lack`].
pub async fn custom(context: &Context, resolved: &Resolved<'_>) -> Result<Custom, Error> {
    let spec = &resolved.cassandra.spec;
    let Some(name) = spec.configuration.as_ref().and_then(|it| it.secret_name.as_ref()) else {
        return Ok(Custom::Read(Settings::default()));
    };
    let states = &context.health.states;
    let read = states.with(resolved.uid(), |state| state.settings.clone());
    if let Some(read) = read.filter(|it| it.name == *name && it.since.elapsed() < AGAIN) {
        return Ok(Custom::Read(read.settings));
    }
    let secret = context.read::<Secret>(&resolved.namespace, name).await?;
    if let Some(lack) = desired::lack(secret.as_ref()) {
        let message = format!("spec.configuration.secretName: Secret {}/{name} {lack}", resolved.namespace);
        return Ok(Custom::Unfit(Refusal::new("ConfigSecretInvalid", message)));
    }
    let secret = secret.unwrap_or_default();
    let settings = Settings {
        text: secret.data.and_then(|mut data| data.remove(names::CONFIG_KEY)),
        version: secret.metadata.resource_version,
    };
    let read = Read { name: name.clone(), since: Instant::now(), settings: settings.clone() };
    states.with(resolved.uid(), |state| state.settings = Some(read));
    Ok(Custom::Read(settings))
}

/// The configuration to store.
pub fn find(context: &Context, resolved: &Resolved<'_>, custom: &Settings) -> Configuration {
    let (caches, secret) = (&context.caches, resolved.kept.config_secret.as_str());
    let petset = |rack: &Rack<'_>| caches.petsets.get(&resolved.namespace, &rack.petset);
    let petsets: Vec<_> = resolved.racks.iter().filter_map(petset).collect();
    let pods: Vec<_> = resolved.pods().filter_map(|pod| caches.pods.get(&resolved.namespace, &pod)).collect();
    let of_pods = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(mounted);
    let files = petsets.iter().flat_map(|petset| mounted_by(petset)).chain(of_pods);
    let present = caches.secrets.get(&resolved.namespace, secret);
    let stored =
        Stored { secret: present.as_deref(), used: files.filter(|file| file.secret == secret).collect() };
    Configuration::of(resolved, custom.text.as_ref(), &stored)
}
