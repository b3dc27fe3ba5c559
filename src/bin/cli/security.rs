//! TLS and logins of `smtpd`, made from the configuration.

use std::sync::Arc;

use ipnet::IpNet;
use leafmail::auth::UserFile;
use leafmail::config::{Config, RateLimitSection};
use leafmail::driver::{Accounts, CertificateFiles, Lockout, Security, ServerTls, Velocity};
use leafmail::smtp::{Keyword, Keywords};
use sysexits::ExitCode;

use crate::cli::OrExit;

/// Our certificate, which is read while the program may still be root; and what is to be said of it.
#[derive(Default)]
pub(crate) struct Certificate {
    tls: Option<ServerTls>,
    pub(crate) remark: Option<String>,
}

/// Reads the users, so that what cannot be used is known at once.
pub(crate) fn security(config: &Config, certificate: Certificate) -> anyhow::Result<Security> {
    let users = config.auth.users.clone().map(UserFile::new);
    if let Some(users) = &users {
        let missing = config.auth.users.as_ref().is_some_and(|path| !path.exists());
        let remedy = if missing { "; \"smtpd passwd USER\" makes it" } else { "" };
        users.users().map_err(|error| anyhow::anyhow!("{error}{remedy}")).or_exit(ExitCode::Config)?;
    }
    let may_log_in = config.knows_users() || !config.auth.any_password_from.is_empty();
    let lockout = Arc::new(Lockout::shared(&config.spool.join("routes"), config.limits.lockout));
    let accounts = || Accounts::new(users, config.limits.auth_failures, Arc::clone(&lockout));
    Ok(Security {
        tls: certificate.tls.map(Arc::new),
        require_tls: config.tls.require,
        accounts: may_log_in.then(accounts),
        require_auth: config.auth.require,
        refusals: (config.limits.refusals > 0 || config.limits.refused_messages > 0).then(|| Arc::clone(&lockout)),
        velocity: velocity(config),
        clear_networks: config.auth.clear_networks.clone(),
        any_password_from: config.auth.any_password_from.clone(),
        proxy_from: config.listen.proxy_from.clone(),
        hidden_from: config.clients.hide_extensions.iter().map(hidden_from).collect(),
    })
}

/// The rate limits, if there are any.
fn velocity(config: &Config) -> Option<Arc<Velocity>> {
    let limits: Vec<_> = config.rate_limit.iter().map(RateLimitSection::limit).collect();
    let folder = config.spool.join("routes");
    (!limits.is_empty()).then(|| Arc::new(Velocity::shared(&folder, limits, config.limits.exempt.clone())))
}

fn hidden_from((network, hidden): &(IpNet, Vec<Keyword>)) -> (IpNet, Keywords) {
    (*network, hidden.iter().copied().collect())
}

/// Reads the certificate, or makes one.
pub(crate) fn certificate(config: &Config) -> anyhow::Result<Certificate> {
    let tls = &config.tls;
    if tls.self_signed {
        return self_signed(config);
    }
    let (Some(certificate), Some(key)) = (tls.certificate.clone(), tls.key.clone()) else {
        return Ok(Certificate::default());
    };
    let files = CertificateFiles { certificate, key, client_ca: tls.client_ca.clone() };
    let tls = ServerTls::from_files(files).map_err(anyhow::Error::msg).or_exit(ExitCode::Config)?;
    Ok(Certificate { tls: Some(tls), remark: None })
}

/// What is to be said of files that were read as root, and are out of reach now.
pub(crate) fn later_remark(config: &Config) -> Option<String> {
    let (certificate, key) = config.tls.certificate.clone().zip(config.tls.key.clone())?;
    let files = CertificateFiles { certificate, key, client_ca: config.tls.client_ca.clone() };
    let remark = "the certificate was read as root and cannot be read again by the user that this runs as: when it is renewed, \
                  restart smtpd, or run it with --supervise and send HUP";
    files.are_denied().then(|| remark.to_owned())
}

#[cfg(feature = "self-signed")]
fn self_signed(config: &Config) -> anyhow::Result<Certificate> {
    let made = ServerTls::self_signed(config.hostname.as_str());
    let (tls, fingerprint) = made.map_err(anyhow::Error::msg).or_exit(ExitCode::Software)?;
    let remark = format!("using a certificate made for this run, which no client can check: {fingerprint}");
    Ok(Certificate { tls: Some(tls), remark: Some(remark) })
}

#[cfg(not(feature = "self-signed"))]
fn self_signed(_: &Config) -> anyhow::Result<Certificate> {
    Err(anyhow::anyhow!("this smtpd was built without the feature self-signed")).or_exit(ExitCode::Config)
}
