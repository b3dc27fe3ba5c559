//! The sentences of `meaning.rs`: what happened, and what to do. `{place}` is the heading of the route's settings,
//! `{credential}` the key of its password or token.

use super::why::{Meaning, Why};

/// What it means, and the remedy.
#[rustfmt::skip]
pub(super) fn of(why: Why) -> Meaning {
    let (what, remedy) = match why {
        Why::LoginRefused => (
            "The provider did not accept the user name or the password.",
            "Look at the user in {place} url (or user), and put the right password where {place} {credential} reads it. \
             Many providers want an app password here, not the one of the web site."),
        Why::LoginMissing => (
            "The provider takes mail only after a login, and this route does not log in.",
            "Set the user in {place} url, as in smtp://user@host:587, or {place} user, and {place} password_file."),
        Why::LoginMethod => (
            "The provider does not take this way of logging in.",
            "Choose another mechanism in {place} auth, or use a token with {place} token_file, token_command or oauth2. For some \
             providers the account must be allowed to send by SMTP AUTH, or needs an app password in {place} {credential}."),
        Why::LoginToken => (
            "The provider takes access tokens only, and no passwords.",
            "Set {place} token_file, token_command or oauth2 in place of the password (docs/routes.md has an example), or use \
             another way of sending that the provider offers."),
        Why::LoginLater => (
            "The provider cannot check logins for now. The mail is tried again.",
            "Nothing, unless it lasts: then look at the provider's status page, and at the user and {place} {credential}."),
        Why::LoginLine => (
            "The provider found the line of the login too long.",
            "Set {place} auth to another mechanism that the provider offers, or use a shorter token."),
        Why::LoginRights => (
            "The login is right, but may not send.",
            "Give this user the right to send at the provider, for this sender's domain; or log in as another one: {place} url and \
             {place} {credential}."),
        Why::AppPassword => (
            "The provider wants an app password here, not the one of the web site.",
            "Make an app password at the provider, and put it where {place} {credential} reads it."),
        Why::TlsWanted => (
            "The next hop takes mail over TLS only.",
            "Add ?tls=required to {place} url, or use smtps: with port 465."),
        Why::TlsAway => (
            "The next hop offers TLS, but did not start it. The mail is tried again.",
            "Nothing, unless it lasts: then whoever runs the next hop has to mend its TLS. Until then {place} url with smtps: and \
             port 465 may work, or a {place} fallback."),
        Why::HeloRefused => (
            "The next hop does not like the name that this host uses in EHLO.",
            "Set {place} helo (or hostname) to the full name of this host, with a dot, that its address has in the DNS."),
        Why::AddressUnknown => (
            "The next hop does not take mail from the address of this host.",
            "Register this host's public address at the provider (relay service, connector, allowed IPs), or log in: a user in \
             {place} url and {place} password_file. If another address of this host is registered, set {place} source."),
        Why::AddressBlocked => (
            "The address of this host is on a block list of the next hop, or has a bad reputation there.",
            "Have the address taken off the list that the reply names (some lists have a form for that on their web site), or send \
             through a provider: {place} url with a user. If this host has another address, set {place} source."),
        Why::AddressName => (
            "The address of this host has no name in the DNS that leads back to it.",
            "Have whoever runs the network set a PTR record for this host's address, and set {place} helo to that name; or send \
             through a provider: {place} url with a user."),
        Why::PerhapsOurs => (
            "The reply may be about this relay or about the message, so it is tried once more before it is believed.",
            "If the provider has to allow this relay: look at the user in {place} url, at {place} helo and {place} source. If it is \
             about the sender, set from and envelope_sender in a [[rewrite]]."),
        Why::RecipientClosed => (
            "The recipient takes mail from certain senders only.",
            "Ask the recipient's administrator to allow this sender; no setting here helps."),
        Why::TooManyRecipients => (
            "The next hop takes fewer recipients at once. The others are tried again.",
            "Nothing: the rest goes in further transactions."),
        Why::LongLines => (
            "The message has lines of more than 998 octets, and the next hop does not take them.",
            "Have the program that made the message wrap or encode its lines (quoted-printable)."),
        Why::HeaderFields => (
            "A header field of the message is missing or malformed.",
            "Correct it in the program that made the message, or set from in a [[rewrite]] if it is the From:."),
        Why::LoginUnsafe => (
            "The connection is not safe enough to send a password over it.",
            "Add ?tls=required to {place} url, or use smtps:."),
        Why::SecretUnreadable => (
            "This host could not read its own password or token.",
            "Look at what {place} {credential} names: it must be there, readable by the user of leafmail, and not empty."),
        Why::SigningKey => (
            "Mail of this domain has to be signed with DKIM, and this host could not use the key. Nothing leaves without its signature.",
            "Look at key_file in [[dkim]]: it must be a private key in PEM, readable by the user of leafmail. spoolrun dkim-key makes a \
             new one. Without that [[dkim]], mail leaves unsigned."),
        Why::TooManyLogins => (
            "There were too many logins within a short time, says the provider. The mail is tried again later.",
            "If it goes on, lower {place} connections and {place} pace, and see that no other program uses the same user."),
        Why::TooManyConnections => (
            "The provider allows fewer connections at the same time.",
            "Lower {place} connections, and see that no other program uses the same user at the same time."),
        Why::Quota => (
            "This relay has sent as much as the provider allows for now. The mail waits, and is not lost.",
            "Lower {place} pace so that it fits the provider's limit, or ask the provider for a higher one."),
        Why::AccountBlocked => (
            "The provider has blocked this account, or the address of this site, from sending.",
            "Ask the provider why, and have the block lifted. Until then another {place} url, or a {place} fallback, can take the mail."),
        Why::SenderRefused => (
            "The provider does not let this login send under that sender address.",
            "Send under an address that exists and that the login may use: set from and envelope_sender in a [[rewrite]]. Or allow the address \
             at the provider (\"send as\", a verified sender)."),
        Why::Unauthenticated => (
            "The recipient's side wants mail of this sender's domain to be authenticated by SPF or DKIM, and it was not.",
            "Send under a domain that the provider signs for: set from and envelope_sender in a [[rewrite]]. Or complete the \
             domain's SPF and DKIM records."),
        Why::NotOnTestList => (
            "The provider's account is for tests, and the recipient is not on its list.",
            "Add the recipient to the list at the provider, or use a full account in {place} url."),
        Why::NoSuchRecipient => (
            "The other side says that there is no such recipient.",
            "Correct the address in the program or the address book that it came from. For an address of the site, see [aliases]."),
        Why::MailboxShut => (
            "The recipient's mailbox is disabled.",
            "Ask the recipient, or correct the address where the mail is made. For an address of the site, see [aliases]."),
        Why::MailboxFull => (
            "The recipient's mailbox is full.",
            "The recipient has to make room; no setting here helps."),
        Why::RecipientBusy => (
            "The recipient's mailbox gets too much mail at the same time. It is tried again later.",
            "If it goes on, lower {place} connections."),
        Why::Greylisted => (
            "The other side delays mail from hosts that it does not know yet (greylisting). That is usual.",
            "Nothing: it is tried again as [queue] retry says."),
        Why::TooLarge => (
            "The message is larger than the provider takes.",
            "Send a smaller attachment. To have such mail refused at once, set [message] max_size to what the provider takes; \
             to send it another way, make a [[route]] with a provider that takes more."),
        Why::TooLargeForRoute => (
            "The message is larger than this route allows.",
            "Raise {place} max_size if the provider takes more, or send a smaller attachment. To have such mail refused at \
             once, set [message] max_size to the same."),
        Why::Content => (
            "The provider did not like what is in the message.",
            "Change what the message has in it: attachments of programs, archives with a password, certain links and line ends other \
             than CRLF are often refused. No setting here changes that."),
        Why::Spam => (
            "The other side considers the message, or the address that it comes from, to be spam.",
            "Send through a provider with a good reputation: {place} url. If its reply names a block list, ask who runs that list."),
        Why::RelayDenied => (
            "The next hop does not relay for this host.",
            "Log in there ({place} url with a user, and {place} password_file), or have this host's address allowed there. If it \
             knows another address of this host, set {place} source."),
        Why::Policy => (
            "The other side refuses it by its own rules.",
            "Its reply names the rule. If that is about the sender, set from and envelope_sender in a [[rewrite]]; if it is about \
             this host, look at {place} helo and {place} source; if it is about the recipient, ask the recipient's administrator."),
        Why::NoXclient => (
            "The next hop does not offer XCLIENT to this host, so it cannot be told where the message came from.",
            "Allow XCLIENT for this host there (Postfix: smtpd_authorized_xclient_hosts), or set {place} xclient to false."),
        Why::NeedsUtf8 => (
            "The message needs SMTPUTF8, as an address or a header field is not plain ASCII, and the next hop has no SMTPUTF8.",
            "Use ASCII addresses, set them in a [[rewrite]], or use another {place} url."),
        Why::NeedsEightBit => (
            "The message has octets above 127, and the next hop does not promise to keep them.",
            "Set {place} eight_bit to \"send\"."),
        Why::ServiceAway => (
            "The provider's service is busy or away for now. It is tried again.",
            "Nothing, unless it lasts: then look at the provider's status page, or give {place} a fallback."),
        Why::ServiceFull => (
            "The provider has no room for mail at present. It is tried again.",
            "Nothing, unless it lasts: then ask the provider, or give {place} a fallback."),
        Why::Loop => (
            "The mail goes in a circle.",
            "{place} url leads back to this host, or the host there sends the mail back: correct one of them."),
        Why::Ourselves => (
            "The next hop is this relay itself: mail would go round in a circle. It waits instead, and is not lost.",
            "Set {place} url to the host that is to take the mail, and not to an address that smtpd listens on."),
        Why::NameUnknown => (
            "The name of the next hop could not be looked up.",
            "Look at the name in {place} url, and at this host's name service (/etc/resolv.conf)."),
        Why::BarredAddress => (
            "The recipient's domain or address literal leads to this host, or to an address that is not of the Internet. mx: does \
             not connect there. It is tried again, as the domain may correct its records.",
            "Ask whoever runs the domain to correct its MX and address records. If the network is yours, list it in {place} \
             mx_networks, or send mail for the domain to the host by a [[route]] with its own url."),
        Why::NoSuchDomain => (
            "The recipient's domain is unknown, or takes no mail.",
            "Correct the address in the program or the address book that it came from. For an address of the site, see [aliases]."),
        Why::NotReachable => (
            "The next hop does not answer at this address and port.",
            "Check the host and the port in {place} url: 587 for smtp:, 465 for smtps:. A firewall may block the \
             connection; many providers block port 25."),
        Why::NoWay => (
            "This host has no way to the next hop.",
            "Look at the network of this host, at its firewall, and at {place} source if it is set."),
        Why::ConnectionLost => (
            "The connection broke, or the other side was silent for too long. It is tried again.",
            "If it goes on, look for a firewall on the way, at the port in {place} url (465 is smtps:, 587 is smtp:), and at \
             {place} timeouts."),
        Why::NotSmtp => (
            "The server that answers there does not speak SMTP correctly.",
            "Look at host and port in {place} url: a port with TLS from the start (465) needs smtps:."),
        Why::NoStartTls => (
            "TLS is required, and the next hop does not offer it.",
            "Look at the port in {place} url: 587 offers TLS in most places; for 465 write smtps:."),
        Why::CertificateExpired => (
            "The certificate of the next hop has expired.",
            "Whoever runs the next hop has to renew it. If this host's clock is wrong, set it. To trust the host by its key \
             meanwhile, set {place} tls_pin."),
        Why::CertificateNotYet => (
            "The certificate of the next hop is not valid yet.",
            "Look at this host's clock first; if it is right, whoever runs the next hop has to change the certificate."),
        Why::CertificateName => (
            "The certificate of the next hop is for another name.",
            "Write the name of the certificate into {place} url. For a host without a fitting certificate, set {place} tls_pin."),
        Why::CertificateIssuer => (
            "The certificate of the next hop was not issued by an authority that this host trusts.",
            "If the next hop has an authority of its own, name the file of its certificate in {place} tls_roots; or set {place} \
             tls_pin to the key of the next hop."),
        Why::CertificatePin => (
            "The key of the next hop is not the one that was pinned. Somebody may be intercepting the connection, or the key was changed.",
            "Ask whoever runs the next hop for its key, by another way than this one; then set {place} tls_pin."),
        Why::Dane => (
            "The host does not show the certificate that its domain published in the DNS (DANE), or the route demands DANE and nothing \
             valid is published. Somebody may be intercepting the connection, or the domain changed its certificate without its TLSA \
             records. It is tried again, and never without TLS.",
            "Ask whoever runs the domain to correct its TLSA records. To send to it without DANE, make a [[route]] for the domain with \
             ?tls=opportunistic in its url; ?tls=dane-only in {place} url takes no mail to domains without TLSA records."),
        Why::MtaSts => (
            "The domain published a policy (MTA-STS) that its hosts take mail by TLS only, with a certificate for their name, and this host \
             does not do so, or is not named there. Somebody may be intercepting the connection, or the domain changed its hosts without its \
             policy. It is tried again, and never without TLS.",
            "Ask whoever runs the domain to correct its policy, https://mta-sts.DOMAIN/.well-known/mta-sts.txt, or its certificates. To send \
             to it all the same, make a [[route]] for the domain, without mta_sts."),
        Why::TlsFailed => (
            "The two sides could not agree on an encrypted connection. leafmail speaks TLS 1.2 and 1.3 with ECDHE and AES-GCM or \
             ChaCha20; it does not speak TLS 1.0 and 1.1, RSA key exchange, and CBC.",
            "Update the server there, if it is an old one; on a network that nobody else reads, {place} url with ?tls=none goes \
             without TLS. Look at the port in {place} url (465 is smtps:, 587 is smtp:), and at {place} tls_roots, tls_cert and tls_key."),
        Why::OwnSettings => (
            "A setting or a file of this host is not in order.",
            "Look at the file named above, and at {place}; smtpd --check names what is wrong."),
        Why::OwnResources => (
            "This host itself had trouble: too many open files, no memory, or it was told to leave.",
            "Look at this host's limits; lower {place} connections if it has few."),
        Why::Folder => (
            "This host could not write into the folder of the route.",
            "Make the folder in {place} url writable for the user of leafmail, and make room on its disk."),
        Why::RefusedByRoute => (
            "The configuration of this relay refuses mail that takes this route.",
            "If it should go somewhere, change {place} url (error:STATUS TEXT), or put a route before it that takes this mail."),
        Why::Program => (
            "The program of the route could not be run, or it failed.",
            "Look at what it printed, run it by hand as the user of leafmail, and correct it or the command in {place} url."),
        Why::Database => (
            "The database of the route did not store it: the words above are its own. No mail is lost.",
            "Mend the database, or the table that {place} url names: `spoolrun doctor` says what is wrong with it."),
        Why::WebService => (
            "The web service of the route did not take it: the words above are its own.",
            "Nothing, if it was busy or away. Else compare {place} url, its template and the login with what the service wants."),
        Why::Later => (
            "The other side does not take it now. It is tried again.",
            "Nothing, unless it lasts: then ask whoever runs the next hop what the reply means, or give {place} a fallback."),
        Why::Never => (
            "The other side refuses it permanently.",
            "If the reply is about the recipient, correct the address where the mail is made, or see [aliases]. If it is about the \
             sender, set from and envelope_sender in a [[rewrite]]. Otherwise ask whoever runs {place} url what it means."),
    };
    Meaning::new(what, remedy)
}
