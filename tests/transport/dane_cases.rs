//! The cases of DANE: what a domain publishes, what its host shows, and what is to come of it, by RFC 7672.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha512};

use crate::support::fake_smarthost::{FakeSmarthost, Script};
use crate::support::peers::dns_lab::{DnsLab, Signed, Zone};

/// What becomes of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It goes by TLS.
    Tls,
    /// It goes in the clear.
    Clear,
    /// It waits.
    Waits,
}

use Ending::{Clear, Tls, Waits};

/// What the host shows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shows {
    /// A certificate for the host, and that of the authority that signed it.
    Chain,
    /// The same for another name: that of the domain, of the domain that it is an alias of, or of nobody.
    ChainFor(&'static str),
    /// The same, but expired.
    Expired,
    /// Only the host's own certificate.
    Alone,
    /// A certificate that is an authority and signed itself.
    OwnAuthority,
    /// No STARTTLS.
    Nothing,
}

/// A case. In its records, `D` is the domain of mail, `H` the host, `P` the port, and words such as `key:sha256` are the octets of the
/// server's own certificate (`own`), its key, or those of the authority (`ca`, `cakey`): whole, as digests, or spoilt by a `!`.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    shows: Shows,
    /// Records in the zone of the domain, which is secure.
    records: &'static str,
    /// What becomes of mail by `tls=dane` and by `tls=dane-only`.
    pub(crate) dane: Ending,
    pub(crate) only: Ending,
}

const fn case(name: &'static str, shows: Shows, records: &'static str, dane: Ending, only: Ending) -> Case {
    Case { name, shows, records, dane, only }
}

impl Case {
    /// Whether its host offers STARTTLS.
    pub(crate) fn offers_tls(&self) -> bool {
        !matches!(self.shows, Shows::Nothing)
    }
}

const MX: &str = "@ MX 10 mx\nmx A H\n";

/// Each has `MX` and these TLSA records of the host, or is a whole zone.
pub(crate) const CASES: &[Case] = &[
    case("key by SHA-256", Shows::Chain, "3 1 1 key:sha256", Tls, Tls),
    case("certificate by SHA-256", Shows::Chain, "3 0 1 own:sha256", Tls, Tls),
    case("key by SHA-512", Shows::Chain, "3 1 2 key:sha512", Tls, Tls),
    case("certificate by SHA-512", Shows::Chain, "3 0 2 own:sha512", Tls, Tls),
    case("whole key", Shows::Chain, "3 1 0 key:whole", Tls, Tls),
    case("whole certificate", Shows::Chain, "3 0 0 own:whole", Tls, Tls),
    case("another key", Shows::Chain, "3 1 1 key:sha256!", Waits, Waits),
    case("key of an expired certificate", Shows::Expired, "3 1 1 key:sha256", Tls, Tls),
    case("key of a certificate for another name", Shows::ChainFor("nobody.example"), "3 1 1 key:sha256", Tls, Tls),
    case("key of a certificate that signed itself", Shows::OwnAuthority, "3 1 1 key:sha256", Tls, Tls),
    case("key of the authority", Shows::Chain, "2 1 1 cakey:sha256", Tls, Tls),
    case("certificate of the authority", Shows::Chain, "2 0 1 ca:sha256", Tls, Tls),
    case("authority, for the domain", Shows::ChainFor("D"), "2 1 1 cakey:sha256", Tls, Tls),
    case("authority, for another name", Shows::ChainFor("nobody.example"), "2 1 1 cakey:sha256", Waits, Waits),
    case("authority, expired", Shows::Expired, "2 1 1 cakey:sha256", Waits, Waits),
    case("whole authority that is not shown", Shows::Alone, "2 0 0 ca:whole", Tls, Tls),
    case("whole key of an authority that is not shown", Shows::Alone, "2 1 0 cakey:whole", Tls, Tls),
    case("another whole key of an authority", Shows::Alone, "2 1 0 key:whole", Waits, Waits),
    case("authority that is not shown", Shows::Alone, "2 1 1 cakey:sha256", Waits, Waits),
    case("the server as an authority", Shows::Chain, "2 1 1 key:sha256", Waits, Waits),
    case("usage 1", Shows::Chain, "1 1 1 key:sha256", Tls, Waits),
    case("usage 0", Shows::Chain, "0 1 1 cakey:sha256", Tls, Waits),
    case("unknown digest", Shows::Chain, "3 1 3 key:sha256", Tls, Waits),
    case("short digest", Shows::Chain, "3 1 1 aabbcc", Tls, Waits),
    case("usage 1 fits, usage 3 does not", Shows::Chain, "1 1 1 key:sha256\n3 1 1 key:sha256!", Waits, Waits),
    case("one of two fits", Shows::Chain, "3 1 1 key:sha256!\n3 1 1 key:sha256", Tls, Tls),
    case("the stronger digest does not fit", Shows::Chain, "3 1 2 key:sha512!\n3 1 1 key:sha256", Waits, Waits),
    case("no TLSA", Shows::Chain, "", Tls, Waits),
    case("no TLSA, no STARTTLS", Shows::Nothing, "", Clear, Waits),
    case("TLSA, no STARTTLS", Shows::Nothing, "3 1 1 key:sha256", Waits, Waits),
    case("unusable TLSA, no STARTTLS", Shows::Nothing, "1 1 1 key:sha256", Waits, Waits),
    // From here on whole zones.
    case("host in an insecure zone", Shows::Chain, "@ MX 10 mx.N.plain.test.\n", Tls, Waits),
    case("TLSA in a bogus zone", Shows::Chain, "@ MX 10 mx\nmx A H\n_P._tcp.mx CNAME x.bogus.test.\n", Waits, Waits),
    case(
        "TLSA that cannot be had",
        Shows::Chain,
        "@ MX 10 mx\nmx A H\n_P._tcp.mx CNAME x.servfail.test.\n",
        Waits,
        Waits,
    ),
    case(
        "TLSA by an alias",
        Shows::Chain,
        "@ MX 10 mx\nmx A H\n_P._tcp.mx CNAME t\nt TLSA 3 1 1 key:sha256\n",
        Tls,
        Tls,
    ),
    case(
        "host is an alias, TLSA at its target",
        Shows::Chain,
        "@ MX 10 mx\nmx CNAME real\nreal A H\n_P._tcp.real TLSA 3 1 1 key:sha256\n",
        Tls,
        Tls,
    ),
    case(
        "host is an alias, TLSA at the alias",
        Shows::Chain,
        "@ MX 10 mx\nmx CNAME real\nreal A H\n_P._tcp.mx TLSA 3 1 1 key:sha256\n",
        Tls,
        Tls,
    ),
    case(
        "host is an alias, TLSA at both",
        Shows::Chain,
        "@ MX 10 mx\nmx CNAME real\nreal A H\n_P._tcp.mx TLSA 3 1 1 key:sha256\n_P._tcp.real TLSA 3 1 1 key:sha256!\n",
        Waits,
        Waits,
    ),
    case(
        "alias to an insecure host, TLSA at the alias",
        Shows::Chain,
        "@ MX 10 mx\nmx CNAME mx.N.plain.test.\n_P._tcp.mx TLSA 3 1 1 key:sha256\n",
        Tls,
        Tls,
    ),
    case("no MX", Shows::ChainFor("D"), "@ A H\n_P._tcp TLSA 2 1 1 cakey:sha256\n", Tls, Tls),
    case("addresses in a bogus zone", Shows::Chain, "@ MX 10 x.bogus.test.\n", Waits, Waits),
];

/// Cases with a running host each, and their DNS.
pub(crate) struct Laboratory {
    pub(crate) dns: DnsLab,
    pub(crate) port: u16,
    hosts: Vec<FakeSmarthost>,
}

/// The domain of a case.
pub(crate) fn domain(number: usize) -> String {
    format!("c{number}.dane.test")
}

/// The address of the host of a case.
pub(crate) fn address(number: usize) -> IpAddr {
    IpAddr::from([127, 0, 7, u8::try_from(number + 1).unwrap()])
}

impl Laboratory {
    /// `None`, and told, where a program is missing. The name server answers at `also` as well.
    pub(crate) fn start(also: Option<SocketAddr>) -> Option<Self> {
        let mut port = 0;
        let (mut zone, mut plain, mut hosts) = (String::new(), String::new(), Vec::new());
        for (number, case) in CASES.iter().enumerate() {
            let server = Server::of(case.shows, &domain(number));
            let script = match case.shows {
                Shows::Nothing => Script::new(),
                _ => Script::new().starttls_by(server.chain.clone(), &server.key),
            };
            hosts.push(FakeSmarthost::start_at(SocketAddr::new(address(number), port), script));
            port = hosts[0].address.port();
            let _ = writeln!(zone, "$ORIGIN c{number}.dane.test.\n{}", server.published(case, number, port));
            // Records that would not fit, and do not count.
            let _ =
                writeln!(plain, "mx.c{number} A {}\n_{port}._tcp.mx.c{number} TLSA 3 1 1 {:064}", address(number), 0);
        }
        let zones: [Zone<'_>; 3] = [
            ("dane.test", Signed::Secure, &zone),
            ("plain.test", Signed::Insecure, &plain),
            ("bogus.test", Signed::Bogus, "x A 127.0.7.1\nx TLSA 3 1 1 00\n"),
        ];
        let dns = DnsLab::start_also_at(&zones, also)?;
        Some(Self { dns, port, hosts })
    }

    /// How many messages the host of a case got, and how many handshakes were done with it.
    pub(crate) fn got(&self, number: usize) -> (usize, usize) {
        let record = self.hosts[number].record();
        (record.messages.len(), record.handshakes)
    }
}

/// What a host has.
struct Server {
    key: KeyPair,
    authority: CertificateDer<'static>,
    authority_key: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
}

impl Server {
    fn of(shows: Shows, domain: &str) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, format!("authority of {domain}"));
        let authority_key = KeyPair::generate().unwrap();
        let public = rcgen::PublicKeyData::subject_public_key_info(&authority_key);
        let authority = CertifiedIssuer::self_signed(authority, authority_key).unwrap();
        let name = match shows {
            Shows::ChainFor("D") => domain.to_owned(),
            Shows::ChainFor(name) => name.to_owned(),
            _ => format!("mx.{domain}"),
        };
        let mut parameters = CertificateParams::new(vec![name]).unwrap();
        if matches!(shows, Shows::Expired) {
            parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let own = if matches!(shows, Shows::OwnAuthority) {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.self_signed(&key).unwrap()
        } else {
            parameters.signed_by(&key, &authority).unwrap()
        };
        let mut chain = vec![own.der().clone()];
        if matches!(shows, Shows::Chain | Shows::ChainFor(_) | Shows::Expired) {
            chain.push(authority.der().clone());
        }
        Self { key, authority: authority.der().clone(), authority_key: public, chain }
    }

    /// The records of a case.
    fn published(&self, case: &Case, number: usize, port: u16) -> String {
        let records = if case.records.starts_with('@') {
            case.records.to_owned()
        } else {
            let tlsa: String = case.records.lines().map(|record| format!("_P._tcp.mx TLSA {record}\n")).collect();
            format!("{MX}{tlsa}")
        };
        let line = |line: &str| {
            let words = line.split(' ').map(|word| match word {
                "H" => address(number).to_string(),
                word if word.contains(':') => self.octets(word),
                word => word.replace("_P.", &format!("_{port}.")).replace(".N.", &format!(".c{number}.")),
            });
            words.collect::<Vec<_>>().join(" ") + "\n"
        };
        records.lines().map(line).collect()
    }

    fn octets(&self, word: &str) -> String {
        let (word, spoilt) = word.strip_suffix('!').map_or((word, false), |word| (word, true));
        let (what, how) = word.split_once(':').unwrap();
        let octets = match what {
            "own" => self.chain[0].to_vec(),
            "key" => rcgen::PublicKeyData::subject_public_key_info(&self.key),
            "ca" => self.authority.to_vec(),
            "cakey" => self.authority_key.clone(),
            other => panic!("{other}"),
        };
        let mut octets = match how {
            "whole" => octets,
            "sha256" => Sha256::digest(octets).to_vec(),
            "sha512" => Sha512::digest(octets).to_vec(),
            other => panic!("{other}"),
        };
        octets[0] ^= u8::from(spoilt);
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}
