//! What may be behind a reply or a failure, and how it is explained: in plain words, with the settings to change.

use crate::receipt::Cause;
use crate::transport::settings::{RouteSettings, SecretSource, TokenSource};

/// What is behind a reply or a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    LoginRefused,
    LoginMissing,
    LoginMethod,
    LoginToken,
    LoginLater,
    LoginLine,
    LoginRights,
    AppPassword,
    TlsWanted,
    TlsAway,
    HeloRefused,
    AddressUnknown,
    AddressBlocked,
    AddressName,
    PerhapsOurs,
    LoginUnsafe,
    SecretUnreadable,
    SigningKey,
    TooManyLogins,
    TooManyConnections,
    Quota,
    AccountBlocked,
    SenderRefused,
    Unauthenticated,
    NotOnTestList,
    NoSuchRecipient,
    MailboxShut,
    MailboxFull,
    RecipientBusy,
    RecipientClosed,
    TooManyRecipients,
    LongLines,
    HeaderFields,
    Greylisted,
    TooLarge,
    TooLargeForRoute,
    Content,
    Spam,
    RelayDenied,
    Policy,
    NoXclient,
    NeedsUtf8,
    NeedsEightBit,
    ServiceAway,
    ServiceFull,
    Loop,
    Ourselves,
    NameUnknown,
    BarredAddress,
    NoSuchDomain,
    NotReachable,
    NoWay,
    ConnectionLost,
    NotSmtp,
    NoStartTls,
    CertificateExpired,
    CertificateNotYet,
    CertificateName,
    CertificateIssuer,
    CertificatePin,
    Dane,
    MtaSts,
    TlsFailed,
    OwnSettings,
    OwnResources,
    Folder,
    RefusedByRoute,
    Program,
    Database,
    WebService,
    Later,
    Never,
}

impl From<Cause> for Why {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::NameLookup => Self::NameUnknown,
            Cause::NotReachable => Self::NotReachable,
            Cause::NoRoute => Self::NoWay,
            Cause::ConnectionLost => Self::ConnectionLost,
            Cause::NotSmtp => Self::NotSmtp,
            Cause::OwnRelay => Self::Ourselves,
            Cause::Loop => Self::Loop,
            Cause::BarredAddress => Self::BarredAddress,
            Cause::NoSuchDomain => Self::NoSuchDomain,
            Cause::NoStartTls => Self::NoStartTls,
            Cause::CertificateExpired => Self::CertificateExpired,
            Cause::CertificateNotYetValid => Self::CertificateNotYet,
            Cause::CertificateName => Self::CertificateName,
            Cause::CertificateIssuer => Self::CertificateIssuer,
            Cause::CertificatePin => Self::CertificatePin,
            Cause::Dane => Self::Dane,
            Cause::MtaSts => Self::MtaSts,
            Cause::Tls => Self::TlsFailed,
            Cause::LoginUnsafe => Self::LoginUnsafe,
            Cause::LoginMethod => Self::LoginMethod,
            Cause::LoginFailed => Self::LoginRefused,
            Cause::Credential => Self::SecretUnreadable,
            Cause::SigningKey => Self::SigningKey,
            Cause::NoXclient => Self::NoXclient,
            Cause::TooLarge => Self::TooLarge,
            Cause::TooLargeForRoute => Self::TooLargeForRoute,
            Cause::NeedsEightBit => Self::NeedsEightBit,
            Cause::NeedsUtf8 => Self::NeedsUtf8,
            Cause::Settings => Self::OwnSettings,
            Cause::Folder => Self::Folder,
            Cause::RefusedByRoute => Self::RefusedByRoute,
            Cause::Program => Self::Program,
            Cause::Database => Self::Database,
            Cause::WebService => Self::WebService,
            Cause::Resources | Cause::Leaving => Self::OwnResources,
        }
    }
}

/// A meaning in plain words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// What happened, as sentences.
    pub what: &'static str,
    /// What to do, with the names of settings; `{place}` and `{credential}` stand for the route's.
    remedy: &'static str,
}

impl Meaning {
    pub(super) const fn new(what: &'static str, remedy: &'static str) -> Self {
        Self { what, remedy }
    }

    /// What to do, as sentences that name the settings of this route.
    pub fn remedy(&self, place: &Place) -> String {
        self.remedy.replace("{place}", &place.heading).replace("{credential}", place.credential)
    }
}

/// Where a route's settings are in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The heading, such as `[relay]`.
    pub heading: String,
    /// The key that the login's secret comes from.
    pub credential: &'static str,
}

impl Place {
    /// That of the next hop of a route, 0 being its main one.
    pub fn of(settings: &RouteSettings, number: usize) -> Self {
        let heading = match (settings.name.as_str(), number) {
            ("relay", 0) => "[relay]".to_owned(),
            ("relay", _) => "[[relay.fallback]]".to_owned(),
            (name, 0) => format!("[[route]] \"{name}\""),
            (name, _) => format!("[[route.fallback]] of \"{name}\""),
        };
        Self { heading, credential: credential_key(settings) }
    }

    /// That of a route of which only the name is known.
    pub fn named(route: &str) -> Self {
        let heading =
            if matches!(route, "relay" | "") { "[relay]".to_owned() } else { format!("[[route]] \"{route}\"") };
        Self { heading, credential: "password_file" }
    }
}

fn credential_key(settings: &RouteSettings) -> &'static str {
    match (&settings.password, &settings.token) {
        (Some(SecretSource::Environment(_)), _) => "password_env",
        (Some(SecretSource::Command(_)), _) => "password_command",
        (None, Some(TokenSource::Secret(SecretSource::File(_)))) => "token_file",
        (None, Some(TokenSource::Secret(_))) => "token_command",
        (None, Some(TokenSource::Grant(_))) => "oauth2",
        _ => "password_file",
    }
}
