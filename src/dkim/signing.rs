//! Which message is signed, and with which keys.
//!
//! A message is signed if it came from a client of ours and a key is for the domain of its `From:`. Mail of strangers is never
//! signed, whoever it says it is from.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use super::key_file::KeyFile;
use super::{MessageSigner, PrivateKey, Selector};
use crate::address::Domain;
use crate::envelope::{Envelope, Peer};

/// A key and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimSettings {
    /// The domains of `From:`, in ASCII.
    pub domains: Vec<Domain>,
    /// The name of the key in the DNS.
    pub selector: Selector,
    /// The file with the private key.
    pub key_file: PathBuf,
    /// Clients whose messages it does not sign.
    pub except: Vec<IpNet>,
}

/// The keys of all domains.
#[derive(Debug, Default)]
pub struct Signing {
    keys: Vec<(DkimSettings, KeyFile)>,
    ours: Vec<IpNet>,
}

impl Signing {
    /// Keys, and the networks whose clients are ours. The files are read when they are needed.
    pub fn new(keys: Vec<DkimSettings>, ours: Vec<IpNet>) -> Self {
        let keys = keys.into_iter().map(|settings| {
            let file = KeyFile::new(settings.key_file.clone());
            (settings, file)
        });
        Self { keys: keys.collect(), ours }
    }

    /// Whether no message is ever signed.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What signs a message with this domain in `From:`; `None` where nothing does.
    ///
    /// # Errors
    /// In words, why a key that is for the message cannot be used.
    pub fn signer(&self, envelope: &Envelope, author: &Domain) -> Result<Option<MessageSigner>, String> {
        let Some(author) = author.in_ascii().filter(|_| self.is_ours(envelope)) else { return Ok(None) };
        let is_excepted = |settings: &DkimSettings| {
            clients(envelope).any(|ip| settings.except.iter().any(|network| network.contains(&ip)))
        };
        let fits = |settings: &DkimSettings| settings.domains.contains(&author) && !is_excepted(settings);
        let key = |(settings, file): &(DkimSettings, KeyFile)| -> Result<(Arc<PrivateKey>, Selector), String> {
            Ok((file.current()?, settings.selector.clone()))
        };
        let keys = self.keys.iter().filter(|(settings, _)| fits(settings)).map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Ok(None) } else { MessageSigner::new(&author, keys).map(Some) }
    }

    /// Whether a message came from this host, from a login, or from our networks; also where it came from before, as far as a
    /// trusted relay said so.
    fn is_ours(&self, envelope: &Envelope) -> bool {
        let origin = &envelope.origin;
        let by_peer = origin.peer == Peer::Local || origin.login.is_some() || origin.peer.is_in(&self.ours);
        by_peer && forwarded_for(envelope).is_none_or(|ip| self.ours.iter().any(|network| network.contains(&ip)))
    }
}

/// The addresses that a message came from.
fn clients(envelope: &Envelope) -> impl Iterator<Item = IpAddr> {
    let peer = envelope.origin.peer.ip().map(|ip| ip.to_canonical());
    peer.into_iter().chain(forwarded_for(envelope))
}

/// The address that a trusted relay named by XFORWARD.
fn forwarded_for(envelope: &Envelope) -> Option<IpAddr> {
    let told = envelope.origin.forwarded("ADDR")?;
    let address = told.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPV6:")).map_or(told, |_| &told[5..]);
    address.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::envelope::{Origin, Protocol, Recipients};

    fn envelope(peer: Peer, login: Option<&str>, forwarded: Option<&str>) -> Envelope {
        let origin = Origin {
            peer,
            login: login.map(str::to_owned),
            forwarded: forwarded.into_iter().map(|address| ("ADDR".to_owned(), address.to_owned())).collect(),
            ..Origin::local(Protocol::SMTP)
        };
        let to: crate::address::Mailbox = "a@x".parse().unwrap();
        let sender = crate::address::ReversePath::Null;
        Envelope::new(sender, Recipients::new(vec![to.into()]).unwrap(), origin, Timestamp::from_millis(0))
    }

    fn signing(folder: &std::path::Path) -> Signing {
        let key_file = folder.join("key.pem");
        std::fs::write(&key_file, PrivateKey::new_ed25519().unwrap()).unwrap();
        let settings = DkimSettings {
            domains: vec!["xn--bcher-kva.example".parse().unwrap(), "own.example".parse().unwrap()],
            selector: "mail".parse().unwrap(),
            key_file,
            except: vec!["10.0.0.5/32".parse().unwrap()],
        };
        Signing::new(vec![settings], vec!["10.0.0.0/8".parse().unwrap()])
    }

    #[test]
    fn mail_of_strangers_is_never_signed() {
        let folder = tempfile::tempdir().unwrap();
        let signing = signing(folder.path());
        let tcp = |ip: &str| Peer::tcp(format!("{ip}:25").parse().unwrap());
        // A build without the feature has another reason not to.
        let would =
            |envelope: &Envelope, author: &str| !matches!(signing.signer(envelope, &author.parse().unwrap()), Ok(None));
        for (peer, login, forwarded, expected) in [
            (Peer::Local, None, None, true),
            (tcp("10.1.1.1"), None, None, true),
            (tcp("[::ffff:10.1.1.1]"), None, None, true),
            (tcp("192.0.2.1"), None, None, false),
            (tcp("192.0.2.1"), Some("joe"), None, true),
            (tcp("10.0.0.5"), None, None, false),
            (tcp("10.1.1.1"), None, Some("192.0.2.1"), false),
            (tcp("10.1.1.1"), None, Some("IPv6:2001:db8::1"), false),
            (tcp("10.1.1.1"), None, Some("10.2.2.2"), true),
            (tcp("10.1.1.1"), None, Some("10.0.0.5"), false),
            (tcp("10.1.1.1"), None, Some("[UNAVAILABLE]"), true),
        ] {
            let envelope = envelope(peer, login, forwarded);
            assert_eq!(would(&envelope, "own.example"), expected, "{peer} {login:?} {forwarded:?}");
            assert!(!would(&envelope, "other.example") && !would(&envelope, "below.own.example"));
        }
        let ours = envelope(Peer::Local, None, None);
        assert!(would(&ours, "OWN.example") && would(&ours, "b\u{fc}cher.example"));
    }

    #[test]
    fn a_key_that_is_spoilt_later_stays_in_use_and_a_new_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let file = KeyFile::new(path.clone());
        assert!(file.current().unwrap_err().contains("key.pem"));
        std::fs::create_dir(&path).unwrap();
        assert!(file.current().unwrap_err().contains("regular file"));
        std::fs::remove_dir(&path).unwrap();
        let write = || {
            let new = folder.path().join("new");
            std::fs::write(&new, PrivateKey::new_ed25519().unwrap()).unwrap();
            std::fs::rename(new, &path).unwrap();
        };
        write();
        let first = file.current().unwrap();
        assert!(Arc::ptr_eq(&first, &file.current().unwrap()));
        std::fs::write(&path, "").unwrap();
        assert!(Arc::ptr_eq(&first, &file.current().unwrap()));
        write();
        assert_ne!(file.current().unwrap().public(), first.public());
    }
}
