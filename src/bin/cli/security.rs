//! TLS and logins of `smtpd`, made from the configuration.

use std::sync::Arc;

use leafmail::auth::UserFile;
use leafmail::config::Config;
use leafmail::driver::{Accounts, CertificateFiles, Security, ServerTls};
use sysexits::ExitCode;

use super::OrExit;

/// Reads the certificate and the users, so that what cannot be used is known at once.
pub(crate) fn security(config: &Config) -> anyhow::Result<Security> {
    let users = config.auth.users.clone().map(UserFile::new);
    if let Some(users) = &users {
        users.users().map_err(anyhow::Error::msg).or_exit(ExitCode::Config)?;
    }
    let may_log_in = users.is_some() || !config.auth.any_password_from.is_empty();
    let accounts = || Accounts::new(users, config.limits.auth_failures, config.limits.lockout);
    Ok(Security {
        tls: server_tls(config)?.map(Arc::new),
        require_tls: config.tls.require,
        accounts: may_log_in.then(accounts),
        require_auth: config.auth.require,
        clear_networks: config.auth.clear_networks.clone(),
        any_password_from: config.auth.any_password_from.clone(),
        proxy_from: config.listen.proxy_from.clone(),
    })
}

fn server_tls(config: &Config) -> anyhow::Result<Option<ServerTls>> {
    let tls = &config.tls;
    if tls.self_signed {
        return self_signed(config).map(Some);
    }
    let (Some(certificate), Some(key)) = (tls.certificate.clone(), tls.key.clone()) else { return Ok(None) };
    let files = CertificateFiles { certificate, key, client_ca: tls.client_ca.clone() };
    ServerTls::from_files(files).map(Some).map_err(anyhow::Error::msg).or_exit(ExitCode::Config)
}

#[cfg(feature = "self-signed")]
fn self_signed(config: &Config) -> anyhow::Result<ServerTls> {
    let made = ServerTls::self_signed(config.hostname.as_str());
    let (tls, fingerprint) = made.map_err(anyhow::Error::msg).or_exit(ExitCode::Software)?;
    log::warn!("using a certificate made for this run, which no client can check: {fingerprint}");
    Ok(tls)
}

#[cfg(not(feature = "self-signed"))]
fn self_signed(_: &Config) -> anyhow::Result<ServerTls> {
    Err(anyhow::anyhow!("this smtpd was built without the feature self-signed")).or_exit(ExitCode::Config)
}
