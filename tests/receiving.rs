//! The driver with a session, a policy and a spool on disk behind it: what XCLIENT, XFORWARD and BDAT become there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::dns::{FixedNames, Resolver};
use leafmail::driver::{DiskWait, Limits, MailList, Receiver, Security, Shutdown};
use leafmail::envelope::{Envelope, Peer};
use leafmail::event::{Event, Observer, lines};
use leafmail::id::SpoolId;
use leafmail::policy::{Chain, ClientInfo, Inspection, Inspector, Interest};
use leafmail::session::{Additions, Settings, Verdict};
use leafmail::smtp::header::HeaderEdit;
use leafmail::smtp::{EnhancedCode, Reply};
use leafmail::spool::{
    Claim, Claimed, DirSpool, Folder, Glance, QueueEntry, Spool, SpoolError, SpoolErrorKind, SpoolSettings,
};
use leafmail::sys::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Observer for Told {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().extend(lines(event));
    }
}

/// A relay for 10.0.0.0/8, which trusts 10.0.0.1; its spool, and what it told.
struct Site {
    receiver: Receiver<DirSpool>,
    told: Arc<Told>,
    _folder: tempfile::TempDir,
}

fn chain() -> Chain {
    let mut config = Config::default();
    config.clients.networks = vec!["10.0.0.0/8".parse().unwrap()];
    config.message.required_headers.clear();
    let resolver: Arc<dyn Resolver> = Arc::new(FixedNames::default());
    Chain::new(config.rules(), resolver, Vec::new())
}

fn receiver<S: Spool>(spool: S, told: &Arc<Told>) -> Receiver<S> {
    let mut settings = Settings::new("relay.example".parse().unwrap());
    settings.xclient = vec!["10.0.0.1/32".parse().unwrap()];
    settings.xforward = settings.xclient.clone();
    Receiver {
        security: Security::default(),
        settings: Arc::new(settings),
        limits: Limits::default(),
        policy: chain(),
        resolver: None,
        spool: Arc::new(spool),
        mail_list: MailList::default(),
        disk_wait: DiskWait::Elsewhere,
        observer: Arc::clone(told) as Arc<dyn Observer>,
        clock: Arc::new(SystemClock),
        shutdown: Shutdown::default(),
    }
}

/// The replies to what a client at 10.0.0.1 sends.
async fn replies<S: Spool>(receiver: &Receiver<S>, sent: &str) -> String {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let peer: SocketAddr = "10.0.0.1:1025".parse().unwrap();
    client.write_all(sent.as_bytes()).await.unwrap();
    receiver.converse(server, Peer::tcp(peer)).await;
    let mut replies = String::new();
    client.read_to_string(&mut replies).await.unwrap();
    replies
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let spool_settings =
            SpoolSettings { reserve_octets: Some(0), reserve_inodes: Some(0), ..SpoolSettings::default() };
        let spool = DirSpool::open(&folder.path().join("spool"), spool_settings, Arc::clone(&clock)).unwrap();
        let told = Arc::new(Told::default());
        Self { receiver: receiver(spool, &told), told, _folder: folder }
    }

    /// The replies to what a client at 10.0.0.1 sends.
    async fn replies(&self, sent: &str) -> String {
        replies(&self.receiver, sent).await
    }

    fn has_told(&self, words: &str) -> bool {
        self.told.0.lock().unwrap().iter().any(|line| line.contains(words))
    }
}

#[tokio::test]
async fn the_policy_is_asked_about_the_client_that_xclient_named() {
    let site = Site::new();
    let replies = site.replies("XCLIENT ADDR=192.0.2.9 NAME=evil.example\r\nQUIT\r\n").await;
    assert!(replies.contains("\r\n554 ") && replies.contains("192.0.2.9"), "{replies}");
    assert!(site.has_told("reject: CONNECT from evil.example[192.0.2.9]"));
    let message = "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 6 LAST\r\nX: y\r\nQUIT\r\n";
    let replies = site.replies(&format!("XCLIENT ADDR=10.7.7.7 NAME=printer.lan\r\nEHLO printer\r\n{message}")).await;
    assert!(replies.contains("queued as"), "{replies}");
    assert!(site.has_told("client=printer.lan[10.7.7.7]"));
}

#[tokio::test]
async fn wishes_and_facts_reach_the_spool_and_the_log() {
    let site = Site::new();
    let replies = site
        .replies(
            "EHLO filter.lan\r\nXFORWARD NAME=spike.lan ADDR=10.2.2.2 IDENT=3CF6\r\n\
             MAIL FROM:<a@b.example> RET=HDRS ENVID=x+2By\r\nRCPT TO:<c@d.example> NOTIFY=SUCCESS ORCPT=rfc822;c@d\r\n\
             BDAT 11\r\nSubject: x\rBDAT 9 LAST\r\n\n\r\nno endQUIT\r\n",
        )
        .await;
    assert!(replies.contains("250 2.0.0 11 octets taken") && replies.contains("queued as"), "{replies}");
    assert!(site.has_told("client=unknown[10.0.0.1], orig_queue_id=3CF6, orig_client=spike.lan[10.2.2.2]"));
    let spool = &site.receiver.spool;
    let entries = spool.entries(Folder::Queue).unwrap();
    let Ok(Claimed::Ours(claim)) = spool.claim(entries[0].id) else { panic!("the message is there") };
    let envelope = claim.envelope();
    assert_eq!(envelope.envid.as_deref(), Some("x+2By"));
    assert!(envelope.recipients[0].notify.is_some_and(|notify| notify.success && !notify.failure));
    assert_eq!(envelope.origin.forwarded("IDENT"), Some("3CF6"));
    let mut octets = vec![0; usize::try_from(claim.size()).unwrap()];
    claim.read_at(0, &mut octets).unwrap();
    let text = String::from_utf8(octets).unwrap();
    assert!(
        text.contains("(forwarded for spike.lan [10.2.2.2])") && text.ends_with("Subject: x\r\n\r\nno end\r\n"),
        "{text}"
    );
}

/// A spool whose disk has failed to sync.
struct Poisoned;

impl Spool for Poisoned {
    type Draft = <DirSpool as Spool>::Draft;
    type Claim = <DirSpool as Spool>::Claim;

    fn has_room(&self, _: u64) -> Result<(), SpoolError> {
        Err(SpoolError::new("writing to", "queue", SpoolErrorKind::Poisoned))
    }

    fn open(&self, _: &Envelope) -> Result<Self::Draft, SpoolError> {
        unimplemented!("MAIL was refused")
    }

    fn open_as(&self, _: SpoolId, _: &Envelope) -> Result<Self::Draft, SpoolError> {
        unimplemented!("MAIL was refused")
    }

    fn entries(&self, _: Folder) -> Result<Vec<QueueEntry>, SpoolError> {
        unimplemented!("a receiver does not look")
    }

    fn claim(&self, _: SpoolId) -> Result<Claimed<Self::Claim>, SpoolError> {
        unimplemented!("a receiver does not look")
    }

    fn peek(&self, _: SpoolId) -> Result<Option<Glance>, SpoolError> {
        unimplemented!("a receiver does not look")
    }
}

#[tokio::test]
async fn a_disk_that_cannot_be_trusted_calls_all_sessions_to_leave() {
    let told = Arc::new(Told::default());
    let receiver = receiver(Poisoned, &told);
    assert!(!receiver.shutdown.is_raised());
    let said = replies(&receiver, "EHLO x\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n").await;
    assert!(said.contains("\r\n421 "), "{said}");
    assert!(receiver.shutdown.is_raised(), "{said}");
}

/// An inspector that writes down what it sees, and answers by what the body says.
#[derive(Default, Clone)]
struct Onlooker(Arc<Mutex<Vec<String>>>);

struct Look {
    onlooker: Onlooker,
    octets: Vec<u8>,
    ended: bool,
}

#[async_trait::async_trait]
impl Inspector for Onlooker {
    async fn begin(&self, client: &ClientInfo<'_>, envelope: &Envelope) -> Interest {
        let transaction = client.transaction.unwrap();
        assert_eq!((transaction.sender, transaction.recipients), (&envelope.reverse_path, &envelope.recipients[..]));
        assert!(transaction.spool_id.is_some());
        match transaction.sender.to_string().as_str() {
            "early@b.example" => Interest::Judged(Verdict::Defer(Reply::new(451, EnhancedCode(4, 7, 1), "too early"))),
            "passed@b.example" => Interest::PassedOver,
            _ => Interest::Inspecting(Box::new(Look { onlooker: self.clone(), octets: Vec::new(), ended: false })),
        }
    }
}

#[async_trait::async_trait]
impl Inspection for Look {
    async fn octets(&mut self, octets: &[u8]) {
        tokio::task::yield_now().await;
        self.octets.extend_from_slice(octets);
    }

    async fn end(mut self: Box<Self>) -> Verdict {
        self.ended = true;
        if self.octets.ends_with(b"refuse\r\n") {
            return Verdict::Refuse(Reply::new(550, EnhancedCode(5, 7, 1), "not that"));
        }
        let edits: [&str; 2] = ["insert 0 X-Seen: yes", "replace 1 Subject: new"];
        let edits = edits.iter().map(|edit| edit.parse::<HeaderEdit>().unwrap()).collect();
        let mut additions = Additions::edits(edits);
        additions.join(Additions::note("looked at"));
        Verdict::accept_with(additions)
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let octets = String::from_utf8_lossy(&self.octets);
        let (_, octets) = octets.split_once("Subject:").unwrap_or_default();
        let end = if self.ended { "ended" } else { "given up" };
        self.onlooker.0.lock().unwrap().push(format!("{octets} {end}"));
    }
}

#[tokio::test]
async fn an_inspector_sees_each_message_as_it_comes_and_judges_its_end() {
    let mut site = Site::new();
    let onlooker = Onlooker::default();
    let inspectors: Vec<Arc<dyn Inspector>> = vec![Arc::new(onlooker.clone()), Arc::new(onlooker.clone())];
    site.receiver.policy = chain().with_inspectors(inspectors);
    let envelope = |name: &str| format!("MAIL FROM:<{name}@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    let data = |body: &str| format!("DATA\r\nSubject: x\r\n\r\n{body}\r\n.\r\n");
    let sent = [
        "EHLO client\r\n".to_owned(),
        envelope("early") + "DATA\r\nRSET\r\n",
        envelope("passed") + &data("passed"),
        envelope("a") + &data("fine"),
        envelope("a") + &data("refuse"),
        envelope("a") + "BDAT 14\r\nSubject: y\r\n\r\nRSET\r\n",
        envelope("a") + "DATA\r\nSubject: z\r\n\r\nlost",
    ];
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(sent.concat().as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let peer: SocketAddr = "10.0.0.1:1025".parse().unwrap();
    site.receiver.converse(server, Peer::tcp(peer)).await;
    let mut replies = String::new();
    client.read_to_string(&mut replies).await.unwrap();
    assert!(
        replies.contains("\r\n451 4.7.1 too early\r\n") && replies.contains("\r\n550 5.7.1 not that\r\n"),
        "{replies}"
    );
    assert_eq!(replies.matches("queued as").count(), 2, "{replies}");
    let saw = onlooker.0.lock().unwrap().clone();
    let fine = [" x\r\n\r\nfine\r\n ended", " x\r\n\r\nfine\r\n ended"];
    // The first that refuses decides.
    let refused = [" x\r\n\r\nrefuse\r\n ended", " x\r\n\r\nrefuse\r\n given up"];
    assert_eq!(saw[..4], [fine, refused].concat());
    assert_eq!(saw[4..6], [" y\r\n\r\n given up"; 2]);
    assert!(saw.len() == 8 && saw[6..].iter().all(|one| one.ends_with("given up")), "{saw:?}");
    let mut texts = Vec::new();
    for entry in site.receiver.spool.entries(Folder::Queue).unwrap() {
        let Ok(Claimed::Ours(claim)) = site.receiver.spool.claim(entry.id) else { panic!("it is free") };
        let mut octets = vec![0; claim.size() as usize];
        let count = claim.read_at(0, &mut octets).unwrap();
        let rest = claim.read_at(count as u64, &mut octets[count..]).unwrap();
        octets.truncate(count + rest);
        texts.push(String::from_utf8(octets).unwrap());
    }
    assert!(texts[0].starts_with("Received:") && texts[0].contains("Subject: x\r\n\r\npassed"), "{texts:?}");
    assert!(
        texts[1].starts_with("X-Seen: yes\r\nX-Seen: yes\r\nReceived:") && texts[1].contains("Subject: new\r\n"),
        "{texts:?}"
    );
}
