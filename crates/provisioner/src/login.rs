//! The operator's login to the ring.

use std::collections::BTreeMap;

use api::halt::WritePermit;
use api::names::SUPERUSER;
use cassandra::Credentials;
use desired::{Login, Refusal, Resolved};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use operator::patch;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::password::password;

/// What was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// How to log in.
    Key(Key),
    /// Nothing: the user must change something first.
    Refused(Refusal),
}

/// How to log in.
#[derive(Clone, Debug, Default)]
pub struct Key {
    /// `None` if security is disabled.
    pub credentials: Option<Credentials>,
    /// The Secret is gone and cannot be restored now: why.
    pub lost: Option<Refusal>,
}

/// What to do if the Secret does not exist.
#[derive(Clone, Copy, Debug)]
pub enum Missing<'a> {
    /// Create it: there is nothing of the ring yet.
    Make(WritePermit<'a>),
    /// Create nothing now.
    Wait,
    /// Report it: the ring already has a password, and a new one would not work.
    Tell,
}

/// The login of a ring.
pub async fn find(
    context: &Context,
    resolved: &Resolved<'_>,
    when_missing: Missing<'_>,
) -> Result<Found, Error> {
    let Login::Secret { name, external } = &resolved.login else {
        return Ok(Found::Key(Key::default()));
    };
    let (uid, states) = (resolved.uid(), &context.health.states);
    let remember = |found: &Found, watched: bool| {
        if let Found::Key(Key { credentials: Some(login), .. }) = found {
            states.with(uid, |state| (state.login, state.login_is_watched) = (Some(login.clone()), watched));
        }
    };
    if let Some(secret) = context.caches.secrets.get(&resolved.namespace, name) {
        let found = read(resolved, &secret);
        remember(&found, true);
        return Ok(found);
    }
    let (known, watched) = states.with(uid, |state| (state.login.clone(), state.login_is_watched));
    if known.is_some() && !watched {
        return Ok(Found::Key(Key { credentials: known, lost: None }));
    }
    // Not in the cache, which holds only Secrets with our labels: it is the user's own, too new for the cache, or gone.
    let secret = match (context.read::<Secret>(&resolved.namespace, name).await?, known) {
        (Some(secret), _) => secret,
        (None, _) if *external => return Ok(Found::Refused(missing(resolved, name, true))),
        (None, Some(login)) => {
            if let Some(permit) = WritePermit::of(resolved.cassandra) {
                put_back(context, permit, resolved, name, &login).await?
            } else {
                let message = format!(
                    "Secret {}/{name} was deleted; it is put back with the password that the ring knows when spec.halted is \
                     false again, unless the provisioner is started anew before",
                    resolved.namespace
                );
                let lost = Some(Refusal::new("AuthSecretNotFound", message));
                return Ok(Found::Key(Key { credentials: Some(login), lost }));
            }
        }
        (None, None) => match when_missing {
            Missing::Make(permit) => {
                let login =
                    Credentials { username: SUPERUSER.to_owned(), password: password(&mut rand::rng()) };
                context.writer(permit).create(&secret(context, resolved, name, &login)).await?
            }
            Missing::Wait => {
                let message = "spec.halted is true: nothing is made before it is false".to_owned();
                return Ok(Found::Refused(Refusal::new("Halted", message)));
            }
            Missing::Tell => return Ok(Found::Refused(missing(resolved, name, false))),
        },
    };
    let found = read(resolved, &secret);
    remember(&found, false);
    Ok(found)
}

async fn put_back(
    context: &Context,
    permit: WritePermit<'_>,
    resolved: &Resolved<'_>,
    name: &str,
    login: &Credentials,
) -> Result<Secret, Error> {
    let secret = context.writer(permit).create(&secret(context, resolved, name, login)).await?;
    let note = format!(
        "Secret {}/{name} was deleted; it is back with the password that the ring knows. Who deletes it again while no \
         provisioner runs locks everybody out",
        resolved.namespace
    );
    context.events().warning(resolved.cassandra, "AuthSecretRestored", "PutBack", &note).await;
    Ok(secret)
}

fn secret(context: &Context, resolved: &Resolved, name: &str, login: &Credentials) -> Secret {
    desired::auth_secret(resolved, name, context.clock().now(), &login.username, &login.password)
}

/// Protects a Secret that an older release has created from tools that prune objects.
pub async fn keep(context: &Context, permit: WritePermit<'_>, resolved: &Resolved<'_>) -> Result<(), Error> {
    let Login::Secret { name, external: false } = &resolved.login else { return Ok(()) };
    let Some(secret) = context.caches.secrets.get(&resolved.namespace, name) else { return Ok(()) };
    if secret.labels().get(api::labels::INSTANCE) != Some(&resolved.name) {
        return Ok(());
    }
    let Some((lacks, inherited)) = desired::to_keep(resolved, &secret) else { return Ok(()) };
    let annotations: BTreeMap<_, _> = secret.annotations().clone().into_iter().chain(lacks).collect();
    let labels: BTreeMap<_, _> = secret.labels().iter().filter(|(key, _)| !inherited.contains(key)).collect();
    let marks = [
        patch::add(&["metadata", "annotations"], json!(annotations)),
        patch::add(&["metadata", "labels"], json!(labels)),
    ];
    context.writer(permit).patch(&*secret, marks.into()).await?;
    Ok(())
}

fn read(resolved: &Resolved, secret: &Secret) -> Found {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    match desired::credentials(secret) {
        Ok((username, password)) => {
            Found::Key(Key { credentials: Some(Credentials { username, password }), lost: None })
        }
        Err(lack) => {
            let message = format!("Secret {}/{name} is no login: {lack}", resolved.namespace);
            Found::Refused(Refusal::new("AuthSecretMalformed", message))
        }
    }
}

fn missing(resolved: &Resolved, name: &str, external: bool) -> Refusal {
    let secret = format!("Secret {}/{name} does not exist", resolved.namespace);
    let message = if external {
        format!(
            "{secret}; spec.authSecret says that it is externally managed: create it with the keys username and password"
        )
    } else {
        format!("{secret}; create it with the keys username and password of a superuser that the ring knows")
    };
    Refusal::new("AuthSecretNotFound", message)
}
