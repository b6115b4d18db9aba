//! The connection to the API server.
//!
//! By default, kube's client retries a refused write for minutes and waits for a response without a limit: a write could
//! arrive long after the lease is lost. Here each request is sent once, and the response must begin within ten seconds.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use http::{HeaderValue, Request, Response, header::USER_AGENT};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use tower::{BoxError, Service, layer::layer_fn};

use crate::{
    failure::error_chain,
    metrics::{Answered, Metrics},
};

/// How long a response may take to begin.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// A response body that stalls is given up after this time. Longer than the watcher's own limit, so that an idle watch lives.
const SILENCE: Duration = Duration::from_secs(330);

/// Connects as the kubeconfig or the pod's service account says.
pub(crate) async fn connect(name: &str, metrics: &Metrics) -> anyhow::Result<Client> {
    let mut config = Config::infer().await.map_err(|error| {
        anyhow!(
            "no way to an API server: outside of a cluster, set KUBECONFIG or create ~/.kube/config; \
             inside, the pod needs a mounted service account token ({})",
            error_chain(&error)
        )
    })?;
    config.default_retry = false;
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    let agent = HeaderValue::from_str(&format!("{name}/{}", env!("CARGO_PKG_VERSION")))?;
    config.headers.push((USER_AGENT, agent));
    let url = config.cluster_url.clone();
    let builder =
        ClientBuilder::try_from(config).with_context(|| format!("cannot build a client for {url}"))?;
    let requests = metrics.requests.clone();
    let layer = layer_fn(move |inner| AnswerInTime { inner, requests: requests.clone() });
    Ok(builder.with_layer(&layer).build())
}

/// Gives up on a request whose response does not begin in time, and counts the requests by verb and HTTP status.
#[derive(Clone)]
struct AnswerInTime<S> {
    inner: S,
    requests: Family<Answered, Counter>,
}

impl<S, B> Service<Request<Body>> for AnswerInTime<S>
where
    S: Service<Request<Body>, Response = Response<B>, Future: Send + 'static, Error: Into<BoxError>>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // kube puts the verb into the extensions; a request without one is discovery.
        let verb = request.extensions().get::<&'static str>().copied().unwrap_or("discover");
        let answer = self.inner.call(request);
        let requests = self.requests.clone();
        Box::pin(async move {
            let answer = match tokio::time::timeout(ANSWER, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs()).into()),
            };
            let code = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            requests.get_or_create(&Answered { verb, code }).inc();
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future};

    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_without_answer_ends_after_ten_seconds() {
        let silent = service_fn(|_: Request<Body>| future::pending::<Result<Response<Body>, Infallible>>());
        let started = tokio::time::Instant::now();
        let requests = Family::default();
        let service = AnswerInTime { inner: silent, requests: requests.clone() };
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert("get");
        let error = service.oneshot(request).await.unwrap_err();
        assert_eq!(error.to_string(), "no answer within 10 s");
        assert_eq!(started.elapsed(), ANSWER);
        assert_eq!(requests.get_or_create(&Answered { verb: "get", code: 0 }).get(), 1);
    }
}
