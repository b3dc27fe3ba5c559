//! `spoolrun serve` and `spoolrun token`: the page of this spool, in a process of its own.
//!
//! The order is that of every program here: first what needs root (sockets, the key), then the user, then the spool, then the
//! sandbox, and only then the first octet of a visitor.

mod relay;
mod token;

pub(crate) use token::{TokenOptions, token};

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use leafmail::config::{Config, ListenAddress, Task};
use leafmail::page::{self, PageListener, PageRole, PageSettings, PageTls, TokenFile};
use leafmail::supervisor;
use leafmail::sys;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sysexits::ExitCode;

use super::existing::existing_spool;
use crate::cli::{self, Common, OrExit, Reader, Stay};
use relay::RelayOfSpool;

/// Where it listens.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    /// Listen here instead: 127.0.0.1:8025, unix:PATH
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<ListenAddress>,
}

impl ServeOptions {
    /// What the command line says goes before the file.
    pub(crate) fn apply(&self, config: &mut Config) {
        if !self.addresses.is_empty() {
            config.serve.addresses.clone_from(&self.addresses);
        }
    }
}

/// Serves until it is asked to end.
pub(crate) fn serve(config: &Config, common: &Common) -> anyhow::Result<()> {
    let settings = config.shown_settings();
    let tls = tls(config)?;
    let listeners: Vec<PageListener> =
        config.serve.addresses.iter().map(|address| bind(config, address, &tls)).collect::<anyhow::Result<_>>()?;
    cli::assume(config)?;
    sys::keep_to_one_heap();
    let spool = existing_spool(config)?;
    let tokens = TokenFile::of_spool(&config.spool).list().or_exit(ExitCode::IoErr)?;
    if config.serve.is_public() && tokens.is_empty() {
        let error =
            anyhow!("other hosts can reach serve.addresses, and there is no token yet: spoolrun token new NAME");
        return Err(error).or_exit(ExitCode::Config);
    }
    let aliases = cli::aliases(config)?;
    let told = cli::lock_in(config, Task::Serve)?;
    let logging = common.logging("spoolrun", config, Reader::Log)?;
    told.log(Stay::Long);
    cli::root_remark().iter().for_each(|remark| log::warn!("{remark}"));
    let relay = RelayOfSpool::new(config, Arc::clone(&spool), aliases, settings)?;
    let places: Vec<String> = listeners.iter().map(place).collect();
    log::info!("page: {}", places.join(", "));
    let roles = config.serve.socket_roles.iter().filter_map(|role| role.name().parse::<PageRole>().ok());
    let page = PageSettings {
        spool,
        folder: config.spool.clone(),
        hostname: config.hostname.to_string(),
        relay: Arc::new(relay),
        hosts: config.serve.hosts.iter().map(ToString::to_string).collect(),
        socket_roles: roles.collect(),
    };
    let (leave, left) = tokio::sync::oneshot::channel();
    let leave = std::sync::Mutex::new(Some(leave));
    cli::heed_signals(
        &logging,
        || {},
        move || {
            let way = leave.lock().ok().and_then(|mut way| way.take());
            way.map(|way| way.send(()));
        },
    )?;
    supervisor::tell_ready();
    page::serve(page, listeners, async { drop(left.await) }).or_exit(ExitCode::OsErr)?;
    for address in &config.serve.addresses {
        if let ListenAddress::Unix(path) = address {
            // A socket that stays is replaced by the next start.
            let _ = std::fs::remove_file(path);
        }
    }
    log::info!("stopped");
    Ok(())
}

fn bind(config: &Config, address: &ListenAddress, tls: &Option<PageTls>) -> anyhow::Result<PageListener> {
    let bound = match address {
        ListenAddress::Unix(path) => PageListener::unix(path.clone()).inspect(|_| {
            // Where root made it, the user that this runs as removes it.
            let _ = cli::confine::hand_over(config, path);
        }),
        ListenAddress::Tcp(address, _) => {
            TcpListener::bind(address).map(|socket| PageListener::Tcp(socket, tls.clone()))
        }
    };
    bound.map_err(|error| anyhow!("listening at {address}: {error}")).or_exit(ExitCode::OsErr)
}

/// Where a browser finds it.
fn place(listener: &PageListener) -> String {
    match listener {
        PageListener::Unix(socket) => {
            let path = socket.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
            format!("unix:{}", path.unwrap_or_default().display())
        }
        PageListener::Tcp(socket, tls) => {
            let scheme = if tls.is_some() { "https" } else { "http" };
            socket.local_addr().map_or_else(|error| error.to_string(), |address| format!("{scheme}://{address}/"))
        }
    }
}

/// The certificate and its key, which root may have to read.
fn tls(config: &Config) -> anyhow::Result<Option<PageTls>> {
    let Some((certificate, key)) = config.serve.certificate.as_ref().zip(config.serve.key.as_ref()) else {
        return Ok(None);
    };
    let read = || -> anyhow::Result<PageTls> {
        let failed = |path: &Path, error: &dyn std::fmt::Display| anyhow!("reading {}: {error}", path.display());
        let chain = CertificateDer::pem_file_iter(certificate).map_err(|error| failed(certificate, &error))?;
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| failed(certificate, &error))?;
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut made = builder.with_no_client_auth().with_single_cert(chain, secret)?;
        made.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(made))
    };
    read().map(Some).or_exit(ExitCode::Config)
}
