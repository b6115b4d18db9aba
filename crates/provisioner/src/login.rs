//! Which name and password open the ring.

use cassandra::Credentials;
use k8s_openapi::api::core::v1::Secret;

use crate::controller::Context;
use crate::desired;
use crate::error::{Error, Refusal};
use crate::plan::{Login, Plan};

/// What is known of the login.
pub type Found = Result<Option<Credentials>, Refusal>;

/// What to do when the Secret is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make it: nothing has begun.
    Make,
    /// Nothing may be made now.
    Wait,
    /// The ring knows a password already, and a new one would open nothing.
    Tell,
}

/// The login of a ring; none where anybody may do anything.
pub async fn find(context: &Context, plan: &Plan<'_>, when_missing: Missing) -> Result<Found, Error> {
    let Login::Secret { name, external } = &plan.login else { return Ok(Ok(None)) };
    if let Some(secret) = context.caches.secrets.get(&plan.namespace, name) {
        return Ok(read(plan, &secret));
    }
    let uid = plan.uid();
    if let Some(login) = context.health.memory.of(uid, |known| known.login.clone()) {
        return Ok(Ok(Some(login)));
    }
    // Not labelled as ours, so not watched: the user's own, or the cache has not seen it yet.
    let secret = match context.read::<Secret>(&plan.namespace, name).await? {
        Some(secret) => secret,
        None if *external || when_missing == Missing::Tell => return Ok(Err(missing(plan, name, *external))),
        None if when_missing == Missing::Wait => {
            let message = "spec.halted is true: nothing is made before it is false".to_owned();
            return Ok(Err(Refusal::new("Halted", message)));
        }
        None => {
            let secret = desired::auth_secret(plan, name, context.operator.clock.now());
            context.operator.writer.create(&secret).await?
        }
    };
    let found = read(plan, &secret);
    if let Ok(login) = &found {
        context.health.memory.of(uid, |known| known.login.clone_from(login));
    }
    Ok(found)
}

fn read(plan: &Plan, secret: &Secret) -> Found {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    desired::credentials(secret).map(Some).map_err(|lack| {
        let message = format!("Secret {}/{name} is no login: {lack}", plan.namespace);
        Refusal::new("AuthSecretMalformed", message)
    })
}

fn missing(plan: &Plan, name: &str, external: bool) -> Refusal {
    let secret = format!("Secret {}/{name} does not exist", plan.namespace);
    let message = if external {
        format!(
            "{secret}; spec.authSecret says that it is externally managed: create it with the keys username and password"
        )
    } else {
        format!("{secret}; create it with the keys username and password of a superuser that the ring knows")
    };
    Refusal::new("AuthSecretNotFound", message)
}
