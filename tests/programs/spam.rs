//! The spam filter: bogofilter and rspamd as Debian has them, learning by `spoolrun learn` and by training addresses, and filters
//! that are killed, stopped and garbled in the middle of a message.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::have::have;
use crate::hooks::four_megabytes;
use crate::site::{Site, wait_until};
use crate::support::peers::rspamd::Rspamd;

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

fn said(output: Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A site with a filter; its word list is in a folder of the site.
fn with_bogofilter(more: &str) -> Site {
    let site = Site::new("");
    let folder = site.path("words");
    fs::create_dir(&folder).unwrap();
    add(&site, &format!("[spam]\nbogofilter = \"bogofilter -C -d {}\"\n{more}\n", folder.display()));
    site
}

fn add(site: &Site, text: &str) {
    let before = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), before + text).unwrap();
}

const OF_SPAM: [&str; 12] = [
    "winner", "lottery", "viagra", "casino", "prize", "millions", "urgent", "claim", "bargain", "replica", "pills",
    "jackpot",
];
const OF_HAM: [&str; 12] = [
    "meeting", "invoice", "project", "minutes", "printer", "backup", "review", "holiday", "budget", "server", "agenda",
    "report",
];
const OF_BOTH: [&str; 8] = ["please", "today", "would", "about", "thanks", "office", "number", "write"];

/// A message of either kind, always the same for a number: twelve words of its kind, five that both have, and one of the other.
fn mail(number: usize, is_spam: bool) -> String {
    let (own, other) = if is_spam { (OF_SPAM, OF_HAM) } else { (OF_HAM, OF_SPAM) };
    let mut state = (number as u32 * 2 + u32::from(is_spam) + 1).wrapping_mul(2_654_435_761);
    let mut next = move |most: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % most
    };
    let mut words: Vec<&str> = (0..12).map(|_| own[next(own.len())]).collect();
    words.extend((0..5).map(|_| OF_BOTH[next(OF_BOTH.len())]));
    words.push(other[next(other.len())]);
    let subject = own[next(own.len())];
    format!(
        "From: joe@example.com\r\nTo: amy@example.org\r\nDate: Mon, 30 Nov 2026 02:50:00 +0000\r\nMessage-ID: <{number}.{is_spam}@example.com>\r\nSubject: {subject}\r\n\r\n{}\r\n",
        words.join(" ")
    )
}

/// The messages as attachments of one.
fn forwarded(messages: &[String]) -> Vec<u8> {
    let parts: String =
        messages.iter().map(|message| format!("--cut\r\nContent-Type: message/rfc822\r\n\r\n{message}\r\n")).collect();
    let header = "From: joe@example.com\r\nTo: spam@relay.example\r\nSubject: Fwd\r\nMIME-Version: 1.0\r\n";
    format!("{header}Content-Type: multipart/mixed; boundary=\"cut\"\r\n\r\n{parts}--cut--\r\n").into_bytes()
}

/// Learns a message from standard input.
fn learn(site: &Site, class: &str, message: &[u8]) -> Output {
    let mut command = site.spoolrun();
    let mut child = command
        .args(["learn", class, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    child.wait_with_output().unwrap()
}

fn ids(site: &Site, folder: &str) -> Vec<String> {
    site.shelf(folder).iter().map(|name| name.split('.').next().unwrap().to_owned()).collect()
}

#[test]
fn bogofilter_learns_from_200_mails_and_sorts_50_others() {
    if !have("bogofilter") {
        return;
    }
    let site =
        with_bogofilter("train_spam = \"spam@relay.example\"\ntrain_from = [\"127.0.0.1\"]\ntag = 0.9\nhold = 0.9999");
    let smtpd = site.listen(&[]);
    // Nothing is learnt yet: all is neither spam nor ham.
    let mut client = smtpd.client();
    client.submit("joe@example.com", &["amy@example.org"], mail(1_000, true).as_bytes());
    let [first] = &ids(&site, "queue")[..] else { panic!("one message") };
    let told = said(site.run(&["explain", first]));
    assert!(told.contains("spam filter: No, score=0.52 required=0.9 filter=bogofilter"), "{told}");
    assert!(site.run(&["remove", "--all"]).status.success());

    // Spam by the training address, in ten mails; ham by its ids in the queue.
    for ten in 0..10 {
        let messages: Vec<String> = (0..10).map(|one| mail(10 * ten + one, true)).collect();
        client.submit("joe@example.com", &["SPAM@relay.example"], &forwarded(&messages));
    }
    wait_until("all is learnt", || smtpd.log().matches("learnt as spam: 10 messages, sent by 127.0.0.1").count() == 10);
    assert_eq!(ids(&site, "queue").len(), 0, "nothing of it is relayed");
    for number in 0..100 {
        client.submit("joe@example.com", &["amy@example.org"], mail(number, false).as_bytes());
    }
    let queued = ids(&site, "queue");
    let arguments: Vec<&str> = ["learn", "ham"].into_iter().chain(queued.iter().map(String::as_str)).collect();
    let told = said(site.run(&arguments));
    assert_eq!(told.matches(": learnt as ham\n").count(), 100, "{told}");
    assert!(site.run(&["remove", "--all"]).status.success());

    // Others of both kinds.
    for number in 200..225 {
        for is_spam in [true, false] {
            client.submit("joe@example.com", &["amy@example.org"], mail(number, is_spam).as_bytes());
        }
    }
    assert!(site.run(&[]).status.success());
    for id in ids(&site, "hold") {
        assert!(site.run(&["release", &id]).status.success());
    }
    assert!(site.run(&[]).status.success());
    let delivered = site.delivered();
    assert_eq!(delivered.len(), 50);
    for message in delivered {
        let text = String::from_utf8(message).unwrap();
        let is_spam = text.contains(".true@example.com");
        assert_eq!(text.matches("X-Spam-Flag: YES\r\n").count(), usize::from(is_spam), "{text}");
        let verdict = if is_spam { "X-Spam-Status: Yes, score=" } else { "X-Spam-Status: No, score=" };
        assert_eq!(text.matches(verdict).count(), 1, "{text}");
    }
}

#[test]
fn what_was_learnt_is_taken_back_before_it_is_learnt_as_the_opposite() {
    if !have("bogofilter") {
        return;
    }
    let site = with_bogofilter("");
    assert!(site.run(&[]).status.success());
    let counts = || {
        let dumped = Command::new("bogoutil").arg("-w").arg(site.path("words")).arg(".MSG_COUNT").output().unwrap();
        let text = said(dumped);
        let line = text.lines().find(|line| line.contains(".MSG_COUNT")).unwrap_or_else(|| panic!("{text}")).to_owned();
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (numbers[0], numbers[1])
    };
    let message = mail(1, true);
    assert_eq!(said(learn(&site, "ham", message.as_bytes())), "-: learnt as ham\n");
    assert_eq!(counts(), (0, 1));
    // As a mailbox has it: other line ends, fields of the way, a line of the mailbox.
    let kept = format!("From joe\nReturn-Path: <a@b>\nX-Spam-Flag: NO\n{}", message.replace("\r\n", "\n"));
    assert_eq!(
        said(learn(&site, "spam", kept.as_bytes())),
        "-: learnt as spam; what was learnt before is taken back\n"
    );
    assert_eq!(counts(), (1, 0));
    assert_eq!(said(learn(&site, "spam", message.as_bytes())), "-: was learnt as spam before\n");
    assert_eq!(counts(), (1, 0));
}

#[test]
fn a_training_address_takes_mail_only_of_known_clients_and_only_by_itself() {
    let site = Site::new(
        "[spam]\nbogofilter = \"sh filter\"\ntrain_spam = \"spam@relay.example\"\ntrain_ham = \"ham@relay.example\"\n",
    );
    fs::write(site.path("filter"), "cat >> input; echo did \"$@\" >> calls; echo U 0.5; case $* in *T) exit 2;; esac")
        .unwrap();
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<joe@example.com>", "250");
    client.expect("RCPT TO:<spam@relay.example>", "550 5.7.1 only clients that log in");
    client.expect("RCPT TO:<amy@example.org>", "250");
    drop(client);
    drop(smtpd);

    let listed =
        fs::read_to_string(site.config()).unwrap().replace("train_ham", "train_from = [\"127.0.0.1\"]\ntrain_ham");
    fs::write(site.config(), listed).unwrap();
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<joe@example.com>", "250");
    client.expect("RCPT TO:<ham@relay.example>", "250");
    for other in ["amy@example.org", "spam@relay.example"] {
        client.expect(&format!("RCPT TO:<{other}>"), "452 4.5.3");
    }
    client.expect("DATA", "354");
    // A quoted text is not learnt; what was bounced is, as it was.
    client.send(b"From: joe@example.com\r\nSubject: Fwd\r\n\r\n> hello\r\n.\r\n");
    let reply = client.reply();
    assert!(reply.starts_with("554 5.6.0 there is no message in it: forward the message as an attachment"), "{reply}");
    client.submit("joe@example.com", &["ham@relay.example"], &[b"Resent-From: joe@example.com\r\n", MESSAGE].concat());
    assert_eq!(fs::read_to_string(site.path("calls")).unwrap(), "did -n\n");
    let learnt = fs::read_to_string(site.path("input")).unwrap();
    assert!(learnt.contains("Subject: x\r\n") && !learnt.contains("Resent-From"), "{learnt}");
    assert!(ids(&site, "queue").is_empty() && ids(&site, "hold").is_empty());
    smtpd.wait_for_log("learnt as ham: 1 message");

    // While the filter fails, it waits at the client.
    fs::write(site.path("filter"), "exit 3").unwrap();
    client.begin("joe@example.com", &["spam@relay.example"]);
    client.send(&[b"Resent-From: joe@example.com\r\n", MESSAGE, b".\r\n"].concat());
    let reply = client.reply();
    assert!(reply.starts_with("451 4.3.5"), "{reply}");
    assert!(ids(&site, "queue").is_empty());
}

/// A filter of the shell that does what the file `mode` says.
const SCRIPTED: &str = "case $(cat mode) in die) kill -9 $$;; stop) kill -STOP $$;; garble) echo garbled;; fail) exit 3;; \
                        flood) exec tr '\\0' x < /dev/zero;; *) cat > /dev/null; cat mode; exit 1;; esac";

fn scripted(more: &str) -> Site {
    let site = Site::new(&format!("[spam]\nbogofilter = \"sh filter\"\n{more}\n"));
    fs::write(site.path("filter"), SCRIPTED).unwrap();
    mode(&site, "H 0.1");
    site
}

fn mode(site: &Site, text: &str) {
    fs::write(site.path("mode.new"), text).unwrap();
    fs::rename(site.path("mode.new"), site.path("mode")).unwrap();
}

#[test]
fn a_filter_that_is_killed_stopped_or_garbled_loses_and_lets_in_nothing() {
    let site = scripted("timeout = \"1s\"");
    let smtpd = site.listen(&[]);
    let mut accepted = 0;
    for trouble in ["die", "garble", "fail", "flood", "stop"] {
        let mut client = smtpd.client();
        client.begin("a@example.com", &["b@example.com"]);
        client.send(b"Subject: x\r\n\r\nhel");
        mode(&site, trouble);
        client.send(b"lo\r\n.\r\n");
        let reply = client.reply();
        assert!(reply.starts_with("451 4.3.5"), "{trouble}: {reply}");
        assert_eq!(ids(&site, "queue").len(), accepted, "{trouble}");
        mode(&site, "H 0.1");
        // It rests for a while after it exceeded its time; a session with many errors is closed.
        wait_until("it is asked again", || {
            let mut client = smtpd.client();
            client.begin("a@example.com", &["b@example.com"]);
            client.send(&[MESSAGE, b".\r\n"].concat());
            client.reply().starts_with("250")
        });
        accepted += 1;
    }
    assert_eq!(ids(&site, "queue").len(), accepted, "what got a 250, and nothing else");
    assert_eq!(smtpd.log().matches("clients are deferred with 451").count(), 1, "{}", smtpd.log());

    let lenient = scripted("no_answer = \"accept\"");
    mode(&lenient, "fail");
    let smtpd = lenient.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], b"X-Spam-Flag: NO\r\nSubject: x\r\n\r\nhello\r\n");
    assert!(lenient.run(&[]).status.success());
    let text = String::from_utf8(lenient.delivered().concat()).unwrap();
    assert!(
        text.contains("Subject: x\r\n") && !text.contains("X-Spam"),
        "a field of ours that it came with is gone: {text}"
    );
}

#[test]
fn a_score_holds_or_refuses_a_message_and_doctor_says_what_the_filter_answers() {
    let site = scripted("tag = 0.5\nhold = 0.8\nrefuse = 0.9");
    let words = said(site.run(&["doctor"]));
    assert!(words.contains("spam filter") && words.contains("a message that does not exist the score 0.1"), "{words}");
    let smtpd = site.listen(&[]);
    mode(&site, "S 0.85");
    smtpd.client().submit("a@example.com", &["b@example.com"], MESSAGE);
    assert!(site.run(&[]).status.success());
    let [held] = &ids(&site, "hold")[..] else { panic!("one message is held") };
    let told = said(site.run(&["explain", held]));
    assert!(told.contains("spam filter: Yes, score=0.85 required=0.5 filter=bogofilter"), "{told}");
    let shown = said(site.run(&["show", held]));
    assert!(shown.contains("octets, as stored; changes of the header are made when it leaves"), "{shown}");
    mode(&site, "S 0.95");
    let mut client = smtpd.client();
    client.begin("a@example.com", &["b@example.com"]);
    client.send(&[MESSAGE, b".\r\n"].concat());
    let reply = client.reply();
    assert!(reply.starts_with("550 5.7.1 the spam filter of this relay takes it for spam"), "{reply}");
    mode(&site, "fail");
    let words = said(site.run(&["doctor"]));
    assert!(words.contains("bogofilter gives no score: running bogofilter: exit status: 3"), "{words}");
}

#[test]
fn what_a_session_keeps_for_the_spam_filter_is_bounded() {
    let site = scripted("contents = \"64kB\"");
    let smtpd = site.listen(&[]);
    let grown = smtpd.growth_by_clients(20, &four_megabytes());
    assert!(grown < 20 * 1_024, "20 messages of 4 MB took {grown} KiB");
}

#[test]
fn learning_without_a_filter_or_a_message_says_so() {
    let none = Site::new("");
    let output = none.run(&["learn", "spam", "-"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(said(output).contains("there is no spam filter: set spam.bogofilter or spam.rspamd"));
    let site = scripted("");
    assert!(site.run(&[]).status.success());
    let output = site.run(&["learn", "spam", "01M7XXG7GK0000700000000001"]);
    assert_eq!((output.status.code(), said(output).contains("not learnt: there is no such message")), (Some(66), true));
    let output = learn(&site, "spam", b"");
    assert_eq!((output.status.code(), said(output).contains("nothing on standard input")), (Some(65), true));
    mode(&site, "fail");
    let output = learn(&site, "spam", MESSAGE);
    assert_eq!(output.status.code(), Some(69));
    assert!(said(output).contains("-: not learnt: running bogofilter: exit status: 3"));
    assert!(!site.spool().join("log/spam-learned").exists(), "what was not learnt is not remembered");
}

#[test]
fn rspamd_judges_and_learns_at_its_controller() {
    let site = |port: u16| {
        Site::new(&format!("[spam]\nrspamd = \"http://127.0.0.1:{port}\"\ntimeout = \"5s\"\ntag = 6\nrefuse = 100\n"))
    };
    if !cfg!(feature = "webhook") {
        let words = said(site(1).run(&["--check"]));
        assert!(words.contains("built without the feature webhook; use spam.bogofilter"), "{words}");
        return;
    }
    if !have("rspamd") {
        return;
    }
    let rspamd = Rspamd::start();
    let site = site(rspamd.controller);
    let smtpd = site.listen(&[]);
    let score = |message: &str| {
        smtpd.client().submit("joe@example.com", &["amy@example.org"], message.as_bytes());
        let queued = ids(&site, "queue");
        let told = said(site.run(&["explain", &queued[0]]));
        assert!(site.run(&["remove", "--all"]).status.success());
        let (_, rest) = told.split_once("score=").unwrap_or_else(|| panic!("{told}"));
        rest.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    // Several processes of rspamd make the files of its classifier at the same time. One may give up, until it is started again.
    wait_until("the classifier", || {
        let told = said(learn(&site, "ham", mail(900, false).as_bytes()));
        if told.contains("cannot find statfile backend") {
            rspamd.signal_controller("KILL");
        }
        told.contains("-: learnt as ham") || told.contains("was learnt as ham before")
    });
    let before = score(&mail(500, true));
    for number in 0..20 {
        for (class, is_spam) in [("spam", true), ("ham", false)] {
            let told = said(learn(&site, class, mail(number, is_spam).as_bytes()));
            assert_eq!(told, format!("-: learnt as {class}\n"));
        }
    }
    let (spam, ham) = (score(&mail(500, true)), score(&mail(500, false)));
    assert!(spam > before && spam > ham, "before {before}, spam {spam}, ham {ham}");
    // Another opinion about the same message.
    let told = said(learn(&site, "ham", mail(0, true).as_bytes()));
    assert_eq!(told, "-: learnt as ham; what was learnt before is taken back\n");

    rspamd_stopped_and_killed(&site, &rspamd, &smtpd);
}

fn rspamd_stopped_and_killed(site: &Site, rspamd: &Rspamd, smtpd: &crate::site::Running) {
    for name in ["STOP", "KILL"] {
        let mut client = smtpd.client();
        client.begin("joe@example.com", &["amy@example.org"]);
        client.send(b"Subject: x\r\n\r\nhel");
        rspamd.signal_controller(name);
        client.send(b"lo\r\n.\r\n");
        let reply = client.reply();
        // A killed controller is started again by rspamd, perhaps before it is asked.
        assert!(reply.starts_with("451 4.3.5") || name == "KILL" && reply.starts_with("250"), "{name}: {reply}");
        let accepted = ids(site, "queue").len();
        assert_eq!(accepted, usize::from(reply.starts_with("250")));
        if name == "STOP" {
            rspamd.signal_controller("CONT");
        }
        // It rests for a while after it exceeded its time; a session with many errors is closed.
        wait_until("it is asked again", || {
            let mut client = smtpd.client();
            client.begin("joe@example.com", &["amy@example.org"]);
            client.send(&[MESSAGE, b".\r\n"].concat());
            client.reply().starts_with("250")
        });
        assert_eq!(ids(site, "queue").len(), accepted + 1);
        assert!(site.run(&["remove", "--all"]).status.success());
    }
}
