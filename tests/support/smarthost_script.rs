//! What a fake smarthost does, and the certificates that it shows.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::PublicKeyData;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// What the smarthost does at one step.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Behaves well.
    Pass,
    /// These octets and nothing else; [`reply`] adds the CRLF.
    Send(Vec<u8>),
    /// These octets, then closes.
    SendAndClose(Vec<u8>),
    /// Waits first.
    Late(Duration, Box<Act>),
    /// Closes.
    Close,
    /// Closes with a reset.
    Reset,
    /// Says nothing and keeps the connection until the other side closes it.
    Stall,
    /// In `body` only: takes nothing any more, so that what is written to it waits.
    Clog,
    /// In `body` only: reads this many octets of the message, then acts.
    After(usize, Box<Act>),
}

/// A whole reply.
pub(crate) fn reply(text: impl AsRef<str>) -> Act {
    Act::Send(format!("{}\r\n", text.as_ref()).into_bytes())
}

/// What a smarthost is to be.
#[derive(Default)]
pub(crate) struct Script {
    pub(super) extensions: Vec<String>,
    /// Offered inside TLS only.
    pub(super) secret_extensions: Vec<String>,
    pub(super) acts: HashMap<String, VecDeque<Act>>,
    pub(super) always: HashMap<String, Act>,
    pub(super) refused: HashMap<String, String>,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) implicit: bool,
    pub(super) scram_password: String,
}

impl Script {
    /// A well-behaved server without extensions.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Keywords in the reply to EHLO.
    pub(crate) fn offers<const N: usize>(mut self, keywords: [&str; N]) -> Self {
        self.extensions.extend(keywords.map(str::to_owned));
        self
    }

    /// Keywords in the reply to an EHLO inside TLS.
    pub(crate) fn offers_inside_tls<const N: usize>(mut self, keywords: [&str; N]) -> Self {
        self.secret_extensions.extend(keywords.map(str::to_owned));
        self
    }

    /// The next time that `step` comes, this happens.
    pub(crate) fn on(mut self, step: &str, act: Act) -> Self {
        self.acts.entry(step.to_owned()).or_default().push_back(act);
        self
    }

    /// Whenever `step` comes and [`on`](Self::on) has nothing left, this happens.
    pub(crate) fn always(mut self, step: &str, act: Act) -> Self {
        self.always.insert(step.to_owned(), act);
        self
    }

    /// RCPT TO this address gets this reply.
    pub(crate) fn refuses(mut self, address: &str, with: &str) -> Self {
        self.refused.insert(address.to_owned(), with.to_owned());
        self
    }

    /// What SCRAM takes for the user's password.
    pub(crate) fn scram_password(mut self, password: &str) -> Self {
        self.scram_password = password.to_owned();
        self
    }

    /// STARTTLS is offered and done with this identity.
    pub(crate) fn starttls(mut self, identity: &Identity) -> Self {
        self.tls = Some(identity.config.clone());
        self.offers(["STARTTLS"])
    }

    /// STARTTLS is offered and done with these certificates, the server's own first, and its key.
    pub(crate) fn starttls_by(mut self, chain: Vec<CertificateDer<'static>>, key: &rcgen::KeyPair) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config =
            builder.with_no_client_auth().with_single_cert(chain, key.serialize_der().try_into().unwrap()).unwrap();
        self.tls = Some(Arc::new(config));
        self.offers(["STARTTLS"])
    }

    /// TLS from the first octet.
    pub(crate) fn implicit_tls(mut self, identity: &Identity) -> Self {
        self.tls = Some(identity.config.clone());
        self.implicit = true;
        self
    }
}

/// A certificate with its key, and the authority that signed it.
pub(crate) struct Identity {
    config: Arc<ServerConfig>,
    /// The authority's certificate, as `tls_roots` has it.
    pub(crate) authority_pem: String,
    /// The certificate and its key in PEM, for a client that shows them.
    pub(crate) certificate_pem: String,
    /// See above.
    pub(crate) key_pem: String,
    /// The pin of its key, as `tls_pin` has it.
    pub(crate) pin: String,
}

impl Identity {
    /// A certificate that is valid for `names`.
    pub(crate) fn valid_for(names: &[&str]) -> Self {
        Self::new(names, |_| ())
    }

    /// What a server needs to show it.
    #[allow(dead_code)]
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// A certificate that has expired.
    pub(crate) fn expired(names: &[&str]) -> Self {
        Self::new(names, |parameters| {
            parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
        })
    }

    /// A certificate that nobody but itself vouches for.
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Self::of(&certificate, &key, certificate.pem(), None)
    }

    /// A certificate that signed itself and may sign others, as openssl makes them.
    pub(crate) fn authority_of(names: &[&str]) -> Self {
        Self::own_authority(names, |_| ())
    }

    /// The same, but expired.
    pub(crate) fn expired_authority_of(names: &[&str]) -> Self {
        Self::own_authority(names, |parameters| {
            parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
        })
    }

    fn own_authority(names: &[&str], change: impl Fn(&mut rcgen::CertificateParams)) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        change(&mut parameters);
        let certificate = parameters.self_signed(&key).unwrap();
        Self::of(&certificate, &key, certificate.pem(), None)
    }

    /// A certificate for `names`, at a server that asks clients for one by `clients`' authority.
    pub(crate) fn asking(names: &[&str], clients: &Identity) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Self::of(&certificate, &key, certificate.pem(), Some(&clients.authority_pem))
    }

    fn of(certificate: &rcgen::Certificate, key: &rcgen::KeyPair, authority_pem: String, asks: Option<&str>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match asks {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![certificate.der().clone()];
        let config = builder.with_single_cert(chain, key.serialize_der().try_into().unwrap()).unwrap();
        let sum = Sha256::digest(key.subject_public_key_info());
        let pin = format!("sha256:{}", sum.iter().map(|octet| format!("{octet:02x}")).collect::<String>());
        let (certificate_pem, key_pem) = (certificate.pem(), key.serialize_pem());
        Self { config: Arc::new(config), authority_pem, certificate_pem, key_pem, pin }
    }

    fn new(names: &[&str], change: impl Fn(&mut rcgen::CertificateParams)) -> Self {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // Authorities of one name but with different keys would be distinguished by a bad signature only.
        static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", AUTHORITIES.fetch_add(1, Ordering::Relaxed));
        authority.distinguished_name.push(rcgen::DnType::CommonName, name);
        let authority = rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().unwrap()).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        change(&mut parameters);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &authority).unwrap();
        Self::of(&certificate, &key, authority.pem(), None)
    }
}

impl Script {
    /// What happens at this step now.
    pub(super) fn next_act(&mut self, step: &str) -> Act {
        let next = self.acts.get_mut(step).and_then(VecDeque::pop_front);
        next.or_else(|| self.always.get(step).cloned()).unwrap_or(Act::Pass)
    }

    /// The reply to EHLO.
    pub(super) fn capabilities(&self, secured: bool) -> String {
        let plain = self.extensions.iter().filter(|keyword| !secured || *keyword != "STARTTLS");
        let secret = self.secret_extensions.iter().filter(|_| secured);
        let mut lines = vec!["fake.example"];
        lines.extend(plain.chain(secret).map(String::as_str));
        let last = lines.pop().unwrap();
        lines.iter().map(|line| format!("250-{line}\r\n")).collect::<String>() + "250 " + last
    }
}
