//! `spoolrun doctor --to`: whether a host is fit to send mail directly, against the DNS laboratory and a host of a domain.

use crate::fake_smarthost::{FakeSmarthost, Identity, Script};
use crate::site::Site;
use crate::support::peers::dns_lab::{DnsLab, Signed, Zone};

const ZONES: [Zone<'static>; 4] = [
    ("d.test", Signed::Secure, "@ MX 10 mx\nmx A 127.0.0.1\n"),
    (
        "me.test",
        Signed::Insecure,
        "@ MX 10 mail\nmail A 203.0.113.9\n@ TXT \"v=spf1 ip4:203.0.113.9 -all\"\n_dmarc TXT \"v=DMARC1; p=none\"\n",
    ),
    ("113.0.203.in-addr.arpa", Signed::Insecure, "9 PTR mail.me.test.\n"),
    ("bl.test", Signed::Insecure, "2.0.0.127 A 127.0.0.2\n66.113.0.203 A 127.0.0.4\n"),
];

#[test]
fn doctor_judges_whether_a_host_is_fit_to_send_mail_directly() {
    let Some(lab) = DnsLab::start(&ZONES) else { return };
    let host = FakeSmarthost::start(Script::new().starttls(&Identity::valid_for(&["mx.d.test"])));
    let site = Site::new(&format!(
        "{}[[dnsbl]]\nzone = \"bl.test\"\n[[route]]\nname = \"direct\"\nrecipients = [\"@d.test\"]\nurl = \"mx:{}\"\nhelo = \
         \"mail.me.test\"\nmx_networks = [\"127.0.0.0/8\"]\n",
        lab.section(),
        host.address.port()
    ));
    let judge = |address: &str| {
        let arguments = ["doctor", "--to", "a@d.test", "--sender", "joe@me.test", "--address", address];
        let output = site.run(&arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = judge("203.0.113.9");
    for step in [
        "direct delivery to d.test\n",
        "ok        mail exchangers: d.test: mx.d.test, validated by DNSSEC\n",
        "ok        name: mx.d.test is 127.0.0.1\n",
        "ok        RCPT: <a@d.test>",
        "ok        reverse name: 203.0.113.9 is mail.me.test, which leads back\n",
        "ok        EHLO name: mail.me.test leads to 203.0.113.9\n",
        "ok        SPF: me.test permits 203.0.113.9 (",
        "warning   DKIM: no key signs mail of me.test\n",
        "ok        DMARC: me.test has a record\n",
        "ok        list: 203.0.113.9 is not on bl.test\n",
        "warning   direct delivery: this host can send mail directly, but not all receivers will take it\n",
    ] {
        assert!(said.contains(step), "{step}: {said}");
    }
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = judge("203.0.113.66");
    for step in [
        "fault     reverse name: 203.0.113.66 has no name\n",
        "fault     SPF: me.test forbids 203.0.113.66",
        "fault     list: 203.0.113.66 is on bl.test\n",
        "fault     direct delivery: this host is not fit to send mail directly\n",
    ] {
        assert!(said.contains(step), "{step}: {said}");
    }
    assert_eq!(code, Some(69), "{said}");
    let (_, said) = judge("192.168.1.2");
    assert!(said.contains("which is no address of the Internet") && !said.contains("SPF"), "{said}");
    assert!(host.record().messages.is_empty(), "no message is sent");
}
