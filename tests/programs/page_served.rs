//! The page and the API of `spoolrun serve`: what they show, who may do what, and that an act is the same as by a verb.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::have::skip;
use crate::page_client::{Answered, PageServer, bearer, token};
use crate::site::{Running, Site, wait_until};

/// Every page, with nothing asked.
const PAGES: [&str; 6] = ["/", "/queue", "/routes", "/clients", "/search", "/settings"];

/// Two messages that wait.
fn two(site: &Site) -> [String; 2] {
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    let mut submit = |to: &str| client.submit("alice@example.com", &[to], b"Subject: private subject\r\n");
    [submit("bob@example.net"), submit("carol@example.org")]
}

#[test]
fn every_page_is_served_with_the_headers_that_keep_others_out() {
    let site = Site::new("");
    let [bob, _] = two(&site);
    let page = PageServer::start(&site, &[]);
    let mut octets = 0;
    for path in PAGES.into_iter().chain(["/style.css", "/live.js", "/favicon.svg"]) {
        let answer = page.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        octets += answer.body.len();
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for name in ["x-content-type-options", "referrer-policy", "cache-control", "cross-origin-opener-policy"] {
            assert!(answer.header(name).is_some(), "{path} has no {name}");
        }
        // What the policy forbids would not work.
        for inline in ["style=", "<style", "onclick", "javascript:", "http://", "https://"] {
            let is_own = path.ends_with(".svg") || path.ends_with(".css") || path.ends_with(".js");
            assert!(is_own || !answer.body.contains(inline), "{path} has {inline}");
        }
    }
    assert!(octets < 60 * 1024, "{octets} octets");
    let message = page.get(&format!("/messages/{bob}"));
    assert_eq!(message.status, 200, "{message:?}");
    assert!(message.body.contains("bob@example.net") && !message.body.contains("private subject"));
    assert_eq!(page.get("/messages/01M7XXG7GK0000700000000001").status, 404);
    assert_eq!(page.get("/nothing").status, 404);
    assert_eq!(page.get("/queue/act").status, 405);
}

#[test]
fn only_this_host_by_its_own_name_and_its_own_pages_are_answered() {
    let site = Site::new("[serve]\nhosts = [\"relay.example\"]");
    two(&site);
    let page = PageServer::start(&site, &[]);
    assert_eq!(page.ask("GET", "/", "Host: relay.example:8025\r\n", "").status, 200);
    // A name of an attacker that leads to the loopback (DNS rebinding).
    let rebound = page.ask("GET", "/", "Host: evil.example\r\n", "");
    assert_eq!(rebound.status, 421);
    assert!(!rebound.body.contains("example.net"), "{rebound:?}");
    let act = "act=remove&all=1&folder=queue&confirm=1";
    for headers in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
    ] {
        assert_eq!(page.ask("POST", "/queue/act", headers, act).status, 403, "{headers}");
    }
    assert_eq!(page.ask("GET", "/api/v1/messages", "Sec-Fetch-Site: cross-site\r\n", "").status, 403);
    assert_eq!(site.shelf("queue").len(), 2, "nothing was removed");
    let own = page.ask("POST", "/queue/act", "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n", act);
    assert_eq!(own.status, 200);
    assert_eq!(site.shelf("queue").len(), 0);
}

#[test]
fn acts_from_the_page_need_a_second_look_and_are_logged() {
    let site = Site::new("");
    let [bob, carol] = two(&site);
    let page = PageServer::start(&site, &[]);
    let shown = page.form("/queue/act", &format!("act=hold&id={bob}&why=the+%3Cchief%3E"));
    assert!(shown.body.contains("1 message would be held") && shown.body.contains("name=\"confirm\""), "{shown:?}");
    assert_eq!(site.shelf("hold").len(), 0, "a dry run changes nothing");
    let done = page.form("/queue/act", &format!("act=hold&id={bob}&why=the+%3Cchief%3E&confirm=1"));
    assert!(done.body.contains("1 message held"), "{done:?}");
    assert_eq!(site.shelf("hold"), std::slice::from_ref(&bob));
    page.running.wait_for_log(&format!("{bob}: held by hand"));
    page.running.wait_for_log("page: 1 held by uid ");
    let held = page.get("/queue?folder=hold");
    assert!(held.body.contains("the &lt;chief&gt;") && !held.body.contains("<chief>"), "{held:?}");
    assert_eq!(page.form("/queue/act", "act=remove&confirm=1").status, 400, "nothing said is never all");
    // All in the folder, also where one is marked.
    page.form("/queue/act", &format!("act=remove&id={bob}&all=1&folder=queue&confirm=1"));
    assert_eq!((site.shelf("queue").len(), site.shelf("hold").len()), (0, 1));
    let gone = page.get(&format!("/messages/{carol}"));
    assert!(gone.status == 200 && gone.body.contains("removed"), "{gone:?}");
    assert_eq!(page.form("/routes/relay/pause", "why=moving").status, 303);
    assert!(page.get("/routes").body.contains("paused by hand"));
    assert!(page.get("/").body.contains("1 route of 1 paused"));
    assert_eq!(page.form("/routes/relay/resume", "").status, 303);
    assert!(page.get("/").body.contains("No route is paused") || page.get("/").body.contains("Mail is flowing"));
    assert_eq!(page.form("/routes/elsewhere/pause", "").status, 404);
}

#[test]
fn the_api_has_the_objects_of_the_verbs_and_pages_by_a_cursor() {
    let site = Site::new("");
    let [bob, carol] = two(&site);
    let page = PageServer::start(&site, &[]);
    let line = String::from_utf8(site.run(&["list", "--json", &bob]).stdout).unwrap();
    let listed: Value = serde_json::from_str(&line).unwrap();
    let first = page.get("/api/v1/messages?limit=1").json();
    assert_eq!((&first["messages"][0], first["next"].as_str()), (&listed, Some(bob.as_str())));
    let second = page.get(&format!("/api/v1/messages?limit=1&cursor={bob}")).json();
    assert_eq!((second["messages"][0]["queue_id"].as_str(), &second["next"]), (Some(carol.as_str()), &Value::Null));
    let filtered = page.get("/api/v1/messages?recipient=%40example.org").json();
    assert_eq!(filtered["messages"].as_array().unwrap().len(), 1);
    let shown: Value = serde_json::from_slice(&site.run(&["show", "--json", &bob]).stdout).unwrap();
    assert_eq!(page.get(&format!("/api/v1/messages/{bob}")).json(), shown);
    let explained = page.get(&format!("/api/v1/messages/{bob}/explanation")).json();
    assert_eq!(explained["messages"][0]["id"], json!(bob));
    let content = page.get(&format!("/api/v1/messages/{bob}/content"));
    assert!(content.body.contains("Subject: private subject") && content.header("content-disposition").is_some());
    assert!(content.header("content-security-policy").unwrap().contains("sandbox"), "{content:?}");
    for (path, wrong) in
        [("limit=0", 400), ("limit=501", 400), ("cursor=x", 400), ("older=2", 400), ("folder=bad", 400)]
    {
        assert_eq!(page.get(&format!("/api/v1/messages?{path}")).status, wrong, "{path}");
    }
    let status = page.get("/api/v1/status").json();
    assert_eq!(
        (status["shelves"]["queue"]["messages"].as_u64(), status["routes"][0]["state"].as_str()),
        (Some(2), Some("open"))
    );
}

#[test]
fn acts_by_the_api_do_what_the_verbs_do_and_dry_runs_nothing() {
    let site = Site::new("");
    let [bob, carol] = two(&site);
    let page = PageServer::start(&site, &[]);
    let act = |act: &str, object: Value| page.post(&format!("/api/v1/messages/{act}"), &object);
    assert_eq!(act("hold", json!({})).status, 400, "nothing said is never all");
    let would = act("hold", json!({ "recipient": "@example.net", "dry_run": true })).json();
    assert_eq!((would["messages"][0]["result"].as_str(), site.shelf("hold").len()), (Some("would"), 0));
    // What is misspelt, empty or contradictory never widens an act, nor makes it more than a dry run.
    for asked in [
        json!({ "all": true, "dry-run": true }),
        json!({ "recipients": "@other.example", "older": "1s" }),
        json!({ "id": [bob.clone()], "recipient": "@other.example" }),
        json!({ "id": [], "folder": "queue" }),
        json!({ "recipient": "", "folder": "queue" }),
        json!({ "recipient": null, "folder": "queue" }),
    ] {
        let answer = act("remove", asked.clone());
        assert_eq!((answer.status, site.shelf("queue").len()), (400, 2), "{asked}: {answer:?}");
    }
    for dry in [json!(true), json!("True"), json!("1"), json!("YES"), json!(""), json!("please")] {
        let report = act("remove", json!({ "all": true, "dry_run": dry.clone() })).json();
        assert_eq!((report["messages"][0]["result"].as_str(), site.shelf("queue").len()), (Some("would"), 2), "{dry}");
    }
    assert_eq!(page.post("/api/v1/messages/remove?dry_run=1", &json!({ "all": true })).status, 400);
    assert_eq!(site.shelf("queue").len(), 2);
    assert_eq!(act("hold", json!({ "id": [bob, carol], "why": "audit" })).json()["messages"][1]["result"], "done");
    assert_eq!(site.shelf("hold").len(), 2);
    assert_eq!(act("release", json!({ "all": true })).json()["messages"].as_array().unwrap().len(), 2);
    assert_eq!(act("requeue", json!({ "id": [bob] })).json()["messages"][0]["result"], "done");
    assert_eq!(act("expire", json!({ "id": [bob] })).json()["messages"][0]["result"], "done");
    assert!(String::from_utf8(site.run(&["show", &bob]).stdout).unwrap().contains("from the page, by uid"));
    assert_eq!(act("remove", json!({ "id": [carol] })).json()["messages"][0]["result"], "done");
    assert_eq!(act("remove", json!({ "id": [carol] })).json()["messages"][0]["result"], "not found");
    assert_eq!(act("burn", json!({ "all": true })).status, 404);
    let history = page.get("/api/v1/history?recipient=carol%40example.org").json();
    assert_eq!(history["entries"][0]["what"], "removed", "{history}");
    let paused = page.post("/api/v1/routes/relay/pause", &json!({ "dry_run": true })).json();
    assert_eq!(
        (paused["result"].as_str(), page.get("/api/v1/routes").json()["routes"][0]["state"].as_str()),
        (Some("would"), Some("open"))
    );
    page.post("/api/v1/routes/relay/pause", &json!({ "why": "moving" }));
    let route = page.get("/api/v1/routes").json()["routes"][0].clone();
    assert_eq!(route["state"], "paused by hand", "{route}");
}

#[test]
fn a_token_gives_its_roles_and_nothing_once_it_is_revoked() {
    let site = Site::new("");
    let [bob, _] = two(&site);
    let [read, act, content] = ["read", "act", "content"].map(|role| token(&site, role, role));
    let page = PageServer::start(&site, &[]);
    let ask = |method: &str, path: &str, token: &str| page.ask(method, path, &bearer(token), "").status;
    let content_path = format!("/api/v1/messages/{bob}/content");
    assert_eq!([&read, &act, &content].map(|token| ask("GET", "/api/v1/messages", token)), [200, 200, 200]);
    assert_eq!([&read, &act, &content].map(|token| ask("GET", &content_path, token)), [403, 403, 200]);
    assert_eq!([&read, &act, &content].map(|token| ask("POST", "/api/v1/routes/relay/pause", token)), [403, 200, 403]);
    page.running.wait_for_log("page: route relay paused by token act");
    // Without the role, no button is shown either.
    assert!(!page.ask("GET", "/queue", &bearer(&read), "").body.contains("/queue/act"));
    assert!(page.ask("GET", "/queue", &bearer(&act), "").body.contains("/queue/act"));
    assert!(site.run(&["token", "revoke", "act"]).status.success());
    assert_eq!(ask("GET", "/api/v1/messages", &act), 401);
    let listed = String::from_utf8(site.run(&["token", "list"]).stdout).unwrap();
    assert!(listed.contains("content") && !listed.contains("leafmail_") && listed.lines().count() == 2, "{listed}");
    let file = site.spool().join("serve/tokens.json");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(site.run(&["token", "revoke", "nobody"]).status.code(), Some(66));
    assert_eq!(site.run(&["token", "new", "read"]).status.code(), Some(64));
    assert_eq!(site.run(&["token", "new"]).status.code(), Some(64));
}

#[test]
fn wrong_tokens_are_slowed_down_and_a_right_one_waits_too() {
    let site = Site::new("");
    two(&site);
    let right = token(&site, "right", "read");
    let page = PageServer::start(&site, &[]);
    let ask = |token: &str| page.ask("GET", "/", &bearer(token), "");
    let wrong: Vec<u16> = (0..6).map(|_| ask("leafmail_wrong").status).collect();
    assert_eq!(wrong[..5], [401; 5]);
    assert_eq!(wrong[5], 429);
    let refused = ask(&right);
    assert!(refused.status == 429 && refused.header("retry-after").is_some(), "{refused:?}");
    page.running.wait_for_log("page: a wrong token from 127.0.0.1");
    wait_until("the pause ends", || ask(&right).status == 200);
}

#[test]
fn the_unix_socket_is_for_its_user_and_group_and_is_removed_at_the_end() {
    let site = Site::new("");
    two(&site);
    let socket = site.path("page.sock");
    let mut command = site.spoolrun();
    command.args(["serve", &format!("unix:{}", socket.display())]);
    let mut running = Running::start(command);
    running.wait_for_log("page: unix:");
    let status = fs::metadata(&socket).unwrap();
    assert_eq!(status.mode() & 0o777, 0o660);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).unwrap();
    assert_eq!(Answered::parse(&octets).json()["shelves"]["queue"]["messages"], 2);
    running.terminate();
    assert!(running.wait().success(), "{}", running.log());
    assert!(!socket.exists());
}

#[test]
fn other_hosts_are_served_with_tls_and_a_token_or_not_at_all() {
    let site = Site::new("");
    two(&site);
    let refused = |site: &Site| {
        let output = site.run(&["serve", "0.0.0.0:0"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = refused(&site);
    assert!(code == Some(78) && said.contains("serve.certificate"), "{said}");
    let made = rcgen::generate_simple_self_signed(["relay.example".to_owned()]).unwrap();
    fs::write(site.path("cert.pem"), made.cert.pem()).unwrap();
    fs::write(site.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(
        site.config(),
        format!("{text}[serve]\nhosts = [\"relay.example\"]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n"),
    )
    .unwrap();
    let (code, said) = refused(&site);
    assert!(code == Some(78) && said.contains("token new"), "{said}");
    token(&site, "ops", "read");
    let mut command = site.spoolrun();
    command.args(["serve", "0.0.0.0:0"]);
    let running = Running::start(command);
    running.wait_for_log("page: https://0.0.0.0:");
}

#[test]
fn the_page_is_in_a_sandbox_that_reads_no_password_and_connects_nowhere() {
    let site = Site::new("");
    two(&site);
    let page = PageServer::start(&site, &["-v"]);
    page.running.wait_for_log("sandbox: ");
    let log = page.running.log();
    let line = log.lines().find(|line| line.contains("sandbox: ")).unwrap();
    if !line.contains("Landlock") || !line.contains("filtered") {
        return skip("this kernel has no whole sandbox");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", page.running.pid())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    // It still shows everything, and acts.
    assert_eq!(page.get("/").status, 200);
    assert_eq!(page.post("/api/v1/messages/hold", &json!({ "all": true })).status, 200);
    assert_eq!(site.shelf("hold").len(), 2);
}

#[test]
fn viewers_see_a_change_and_after_it_nothing_they_have_already() {
    let site = Site::new("");
    let [bob, _] = two(&site);
    let page = PageServer::start(&site, &[]);
    let seen = page.stream_until("", "\"messages\":2");
    let id = seen.split("id: ").nth(1).unwrap().split('\n').next().unwrap().to_owned();
    page.post("/api/v1/messages/remove", &json!({ "id": [bob] }));
    let seen = page.stream_until(&format!("Last-Event-ID: {id}\r\n"), "\"messages\":1");
    assert!(seen.contains("event: status") && !seen.contains(&format!("id: {id}")), "{seen}");
}

#[test]
fn the_description_of_the_api_names_paths_that_answer() {
    let site = Site::new("");
    let [bob, _] = two(&site);
    let page = PageServer::start(&site, &[]);
    let document = page.get("/api/v1/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", &bob)
            .replace("{route}", "relay")
            .replace("{switch}", "resume")
            .replace("{act}", "release");
        if methods.get("get").is_some() && !path.ends_with("/events") {
            let query = if path.ends_with("/explanations") { "?recipient=bob%40example.net" } else { "" };
            let answer = page.get(&format!("{path}{query}"));
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            seen += 1;
        }
        if methods.get("post").is_some() {
            let switches = path.ends_with("/resume");
            let asked = if switches { json!({ "dry_run": true }) } else { json!({ "all": true, "dry_run": true }) };
            assert_eq!(page.post(&path, &asked).status, 200, "{path}");
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}
