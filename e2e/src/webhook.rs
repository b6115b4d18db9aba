//! An admission webhook that rewrites the images of new pods, as those of registry mirrors do.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, id};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use axum::serve::Listener;
use http::header::CONTENT_TYPE;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::kubectl::{apply, kubectl};

/// The webhook, until it is dropped.
pub struct Webhook {
    name: String,
    runtime: Option<Runtime>,
}

impl Webhook {
    /// Adds `suffix` to the tag of each image of `repository` in new pods of this namespace. Serves on the address by which this
    /// machine reaches the API server, which is a private one with the embedded cluster.
    pub fn adding(namespace: &str, repository: &str, suffix: &'static str) -> Result<Self> {
        let host = own_address()?;
        let (certificate, key) = certificate(host)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let prefix = format!("{repository}:");
        let address = runtime.block_on(async {
            let tcp = TcpListener::bind((host, 0)).await?;
            let address = tcp.local_addr()?;
            let listener = Tls { tcp, acceptor: acceptor(&certificate, &key)? };
            let answer = move |body: Bytes| async move {
                // An empty review gets an answer that the API server refuses.
                let review = serde_json::from_slice(&body).unwrap_or_default();
                ([(CONTENT_TYPE, "application/json")], reviewed(&review, &prefix, suffix).to_string())
            };
            let router = Router::new().route("/", post(answer));
            tokio::spawn(async move { axum::serve(listener, router).await });
            anyhow::Ok(address)
        })?;
        let rules = json!([{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
        }]);
        let hook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": namespace },
            "webhooks": [{
                "name": "mirror.example.com", "rules": rules,
                "clientConfig": { "url": format!("https://{address}/"), "caBundle": ByteString(certificate) },
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            }],
        });
        apply(&hook.to_string())?;
        Ok(Self { name: namespace.to_owned(), runtime: Some(runtime) })
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // If it stays, no pod can be created in the namespace of this test, which the test will notice.
        _ = kubectl(&["delete", "mutatingwebhookconfiguration", &self.name]);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

/// The answer to an AdmissionReview: a patch for each container whose image starts with `prefix` and does not end in `suffix`.
fn reviewed(review: &Value, prefix: &str, suffix: &str) -> Value {
    let spec = &review["request"]["object"]["spec"];
    let patches = ["containers", "initContainers"].into_iter().flat_map(|list| {
        let containers = spec[list].as_array().into_iter().flatten().enumerate();
        containers.filter_map(move |(number, container)| {
            let image = container["image"].as_str()?;
            (image.starts_with(prefix) && !image.ends_with(suffix)).then(|| {
                let path = format!("/spec/{list}/{number}/image");
                json!({ "op": "replace", "path": path, "value": format!("{image}{suffix}") })
            })
        })
    });
    let patch = Value::Array(patches.collect()).to_string().into_bytes();
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": ByteString(patch),
        },
    })
}

/// The address of this machine on the way to the API server. Nothing is sent to find it.
fn own_address() -> Result<IpAddr> {
    let url = kubectl(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"])?;
    let server = url.trim().trim_start_matches("https://").trim_end_matches('/');
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(server).with_context(|| format!("the way to the API server {url}"))?;
    Ok(socket.local_addr()?.ip())
}

/// A certificate for an address that is its own authority, and its key; both as PEM.
fn certificate(host: IpAddr) -> Result<(Vec<u8>, Vec<u8>)> {
    let folder = std::env::temp_dir().join(format!("cassandra-webhook-{}", id()));
    fs::create_dir_all(&folder)?;
    let [certificate, key] = ["tls.crt", "tls.key"].map(|file| folder.join(file));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-batch",
        ])
        .args(["-days", "1", "-subj", "/CN=webhook", "-addext", &format!("subjectAltName=IP:{host}")])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .context("openssl makes the certificate of the webhook")?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    let pair = (fs::read(&certificate)?, fs::read(&key)?);
    fs::remove_dir_all(&folder)?;
    Ok(pair)
}

fn acceptor(certificate: &[u8], key: &[u8]) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
