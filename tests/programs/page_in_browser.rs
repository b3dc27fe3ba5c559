//! The page in a real browser: every page at both ends of the widths, in light and dark, with script and without; every act by
//! its buttons; and that nothing that peers wrote ever runs.

use std::path::PathBuf;

use serde_json::Value;

use crate::browser::{Browser, Look, Scripts};
use crate::have::left_out;
use crate::page_attacks::hostile_site;
use crate::page_client::PageServer;
use crate::site::Site;

const PHONE: Look = Look { width: 360, height: 740, scheme: "light" };
const DESK: Look = Look { width: 1600, height: 1000, scheme: "light" };

fn dark(look: Look) -> Look {
    Look { scheme: "dark", ..look }
}

/// What must be true of every page, checked in the page: a list of what is not.
const CHECKS: &str = r#"
const wrong = [];
if (document.documentElement.scrollWidth > innerWidth) wrong.push("it is " + document.documentElement.scrollWidth + " wide");
for (const [what, count] of [["main", 1], ["nav", 1], ["h1", 1], ["header", 1]])
  if (document.querySelectorAll(what).length !== count) wrong.push("not one " + what);
if (!document.documentElement.lang || !document.title) wrong.push("no language or title");
for (const field of document.querySelectorAll("input:not([type=hidden]), select"))
  if (!field.labels.length && !field.getAttribute("aria-label")) wrong.push("no label for " + field.name);
for (const control of document.querySelectorAll("a, button"))
  if (!control.textContent.trim()) wrong.push("an empty control");
const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
if (new Set(ids).size !== ids.length) wrong.push("an id twice");
const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
const parts = text => text.match(/[\d.]+/g).map(Number);
const behind = e => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
for (const e of document.querySelectorAll("body *")) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length) continue;
  const [a, b] = [light(parts(getComputedStyle(e).color).slice(0, 3)), light(behind(e))];
  const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (contrast < 4.5) wrong.push("contrast " + contrast.toFixed(1) + " of " + e.tagName + "." + e.className);
}
for (const e of document.querySelectorAll("*"))
  for (const { name } of e.attributes) if (name.startsWith("on") || name === "style") wrong.push("an attribute " + name);
if (window.hacked) wrong.push("a peer's script ran");
return wrong;
"#;

fn check(browser: &Browser, what: &str) {
    let wrong = browser.run(CHECKS);
    assert_eq!(wrong, Value::Array(Vec::new()), "{what}");
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{what}: {complaints:#?}");
}

fn pages(site: &Site) -> Vec<String> {
    let messages = [site.shelf("queue"), site.shelf("hold")].concat();
    let fixed = [
        "/",
        "/queue",
        "/queue?folder=hold",
        "/queue?sender=%40evil.example",
        "/routes",
        "/clients",
        "/search",
        "/search?recipient=bob%40example.net",
        "/settings",
    ];
    fixed.into_iter().map(str::to_owned).chain(messages.into_iter().map(|id| format!("/messages/{id}"))).collect()
}

#[test]
fn every_page_fits_a_phone_and_a_desk_in_light_and_dark_and_no_peer_runs_a_script() {
    let Some(browser) = Browser::start(Scripts::Run) else { return };
    let site = hostile_site();
    let page = PageServer::start(&site, &[]);
    for look in [PHONE, dark(PHONE), DESK, dark(DESK)] {
        browser.look(look);
        for path in pages(&site) {
            browser.open(&format!("http://{}{path}", page.address));
            check(&browser, &format!("{path} as {look:?}"));
        }
    }
    // The first stop of the keyboard leads to the content.
    browser.open(&format!("http://{}/queue", page.address));
    browser.press_tab();
    assert_eq!(browser.run("return document.activeElement.className"), "skip");
}

/// Marks the message of a row, presses a button, and confirms what would be done.
fn act(browser: &Browser, page: &PageServer, path: &str, id: &str, button: &str) {
    browser.open(&format!("http://{}{path}", page.address));
    browser.click(&format!("//input[@name='id' and @value='{id}']"));
    browser.click(&format!("//button[@name='act' and text()='{button}']"));
    browser.wait_for("1 message would be");
    browser.click("//button[@name='confirm']");
    browser.wait_for("1 message ");
    browser.wait_for("Back to the queue");
}

fn every_act(scripts: Scripts) {
    let Some(browser) = Browser::start(scripts) else { return };
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    let ids: Vec<String> = (0..3)
        .map(|number| client.submit("alice@example.com", &[&format!("bob{number}@example.net")], b"Subject: x\r\n"))
        .collect();
    let page = PageServer::start(&site, &[]);
    browser.look(DESK);
    act(&browser, &page, "/queue", &ids[0], "Hold");
    assert_eq!(site.shelf("hold"), [ids[0].clone()]);
    act(&browser, &page, "/queue?folder=hold", &ids[0], "Release");
    assert_eq!(site.shelf("hold").len(), 0);
    act(&browser, &page, "/queue", &ids[1], "Requeue");
    act(&browser, &page, "/queue", &ids[1], "Expire");
    act(&browser, &page, "/queue?recipient=bob2%40example.net", &ids[2], "Remove");
    assert_eq!(site.shelf("queue").len(), 2);
    // From the page of a message.
    browser.open(&format!("http://{}/messages/{}", page.address, ids[0]));
    browser.write("//input[@name='why']", "asked by <b>the chief</b>");
    browser.click("//button[@name='act' and text()='Hold']");
    browser.click("//button[@name='confirm']");
    browser.wait_for("1 message held");
    browser.open(&format!("http://{}/messages/{}", page.address, ids[0]));
    browser.wait_for("asked by <b>the chief</b>");
    // A route.
    browser.click("//nav//a[text()='Routes']");
    browser.write("//input[@name='why']", "moving");
    browser.click("//button[text()='Pause relay']");
    browser.wait_for("paused by hand");
    browser.click("//button[text()='Resume relay']");
    browser.wait_for("open");
    assert!(!browser.text().contains("paused by hand"), "{}", browser.text());
}

#[test]
fn every_act_works_by_its_buttons() {
    every_act(Scripts::Run);
}

#[test]
fn every_act_works_without_script() {
    every_act(Scripts::Never);
}

#[test]
fn five_questions_of_an_administrator_are_answered_within_three_clicks() {
    let Some(browser) = Browser::start(Scripts::Run) else { return };
    let site = hostile_site();
    assert!(site.run(&["pause", "relay", "--why", "the provider moves"]).status.success());
    let page = PageServer::start(&site, &[]);
    let home = || browser.open(&format!("http://{}/", page.address));
    browser.look(DESK);
    // Is mail flowing?
    home();
    browser.wait_for("1 route of 1 paused");
    // Why is it stuck?
    assert!(browser.text().contains("the provider moves"), "{}", browser.text());
    browser.click("//a[contains(., 'in the queue')]");
    browser.click("(//a[@class='id'])[1]");
    browser.wait_for("What to do:");
    // Where is this message?
    home();
    browser.write("//input[@name='recipient']", "bob@example.net");
    browser.click("//button[text()='Find']");
    browser.wait_for("messages found");
    // Who sends so much, and what was refused?
    home();
    browser.click("//nav//a[text()='Clients']");
    let text = browser.text();
    assert!(
        text.contains("127.0.0.1")
            && text.contains("accepted")
            && text.contains("refused")
            && text.contains("What to do:"),
        "{text}"
    );
}

#[test]
fn rows_follow_the_queue_without_a_reload_but_not_while_somebody_marks_them() {
    let Some(browser) = Browser::start(Scripts::Run) else { return };
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.submit("alice@example.com", &["first@example.net"], b"Subject: x\r\n");
    let page = PageServer::start(&site, &[]);
    browser.look(DESK);
    browser.open(&format!("http://{}/queue", page.address));
    browser.wait_for("first@example.net");
    browser.run("window.same = true");
    client.submit("alice@example.com", &["second@example.net"], b"Subject: x\r\n");
    browser.wait_for("second@example.net");
    assert_eq!(browser.run("return window.same"), true, "the page was not loaded again");
    check(&browser, "a renewed queue");
}

/// Pictures of the main pages, where LEAFMAIL_SCREENSHOTS names a folder for them: `docs/page/record`.
#[test]
fn the_main_pages_as_pictures() {
    let Some(folder) = std::env::var_os("LEAFMAIL_SCREENSHOTS").map(PathBuf::from) else {
        return left_out("docs/page/record takes the pictures");
    };
    let Some(browser) = Browser::start(Scripts::Run) else { return };
    let site = Site::new("[recipients]\ndeny = [\"@denied.example\"]");
    let smtpd = site.listen(&["--deliver"]);
    let mut client = smtpd.client();
    client.submit("printer@lan.example", &["office@example.com"], b"Subject: x\r\n");
    crate::site::wait_until("it is delivered", || !site.delivered().is_empty());
    assert!(site.run(&["pause", "relay", "--why", "the provider moves its servers"]).status.success());
    let mut submit = |from: &str, to: &[&str]| client.submit(from, to, b"Subject: x\r\n");
    let ids = [
        submit("printer@lan.example", &["office@example.com"]),
        submit("nas@lan.example", &["ann@example.com", "bob@example.org"]),
        submit("shop@example.com", &["carol@example.net"]),
    ];
    assert!(site.run(&["hold", &ids[2], "--why", "asked by the customer"]).status.success());
    let page = PageServer::start(&site, &[]);
    let shots = [
        ("overview-light", "/", DESK),
        ("overview-dark-phone", "/", dark(PHONE)),
        ("queue-light", "/queue", DESK),
        ("queue-phone", "/queue", PHONE),
        ("message-dark", &format!("/messages/{}", ids[1]), dark(DESK)),
    ];
    for (name, path, look) in shots {
        browser.look(look);
        browser.open(&format!("http://{}{path}", page.address));
        browser.picture(&folder.join(format!("{name}.png")));
    }
}
