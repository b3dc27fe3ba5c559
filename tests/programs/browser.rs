//! A real browser, driven by WebDriver (W3C): Chromium by its driver, each with a profile of its own that is removed at the end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::have::have;
use crate::site::{PATIENCE, wait_until};

/// Whether pages run scripts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    Run,
    Never,
}

/// How pages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) scheme: &'static str,
}

/// A browser; it ends when this is dropped.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    /// Starts one; `None`, which is said, where there is none.
    pub(crate) fn start(scripts: Scripts) -> Option<Self> {
        if !have("chromium") || !have("chromedriver") {
            return None;
        }
        let mut command = Command::new("chromedriver");
        // A group of its own, which ends as a whole: a driver that is killed leaves its browser.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut driver =
            command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let started =
            |line: String| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse::<u16>().ok();
        let port = lines.find_map(|line| started(line.unwrap())).expect("the driver says its port");
        thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--lang=en-GB",
        ]
        .map(str::to_owned);
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let preferences = match scripts {
            Scripts::Run => json!({}),
            Scripts::Never => json!({ "profile.managed_default_content_settings.javascript": 2 }),
        };
        let options = json!({
            "args": arguments.into_iter().chain([profile]).collect::<Vec<_>>(), "prefs": preferences,
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let made = browser.call("POST", "/session", &wanted);
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, object: &Value) -> Value {
        self.try_call(method, path, object).unwrap_or_else(|answer| panic!("{method} {path}: {answer}"))
    }

    fn try_call(&self, method: &str, path: &str, object: &Value) -> Result<Value, Value> {
        let body = if method == "GET" { String::new() } else { object.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE * 2)).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}", self.port)
            .unwrap();
        // The driver leaves the connection open, whatever it is asked for.
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{method} {path}: {head}");
        }
        let length = head
            .to_lowercase()
            .split("content-length:")
            .nth(1)
            .and_then(|rest| rest.lines().next()?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {head}"));
        if head.contains(" 200 ") { Ok(answer["value"].clone()) } else { Err(answer) }
    }

    fn post(&self, path: &str, object: &Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), object)
    }

    fn devtools(&self, command: &str, parameters: Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    /// Opens a page.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Shows pages like this from now on.
    pub(crate) fn look(&self, look: Look) {
        let Look { width, height, scheme } = look;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// What a script of ours returns in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn element(&self, xpath: &str) -> String {
        let found = self.post("/element", &json!({ "using": "xpath", "value": xpath }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks what an XPath names.
    pub(crate) fn click(&self, xpath: &str) {
        let element = self.element(xpath);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Writes into what an XPath names.
    pub(crate) fn write(&self, xpath: &str, text: &str) {
        let element = self.element(xpath);
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// The text that a person sees.
    pub(crate) fn text(&self) -> String {
        let mut found = String::new();
        // Between two pages an element of the first one is gone.
        wait_until("a page with a text", || {
            let object = json!({ "using": "xpath", "value": "//body" });
            let session = format!("/session/{}", self.session);
            let body = self.try_call("POST", &format!("{session}/element"), &object).ok();
            let path = body.and_then(|body| Some(format!("{session}/element/{}/text", body[ELEMENT].as_str()?)));
            let text = path.and_then(|path| self.try_call("GET", &path, &Value::Null).ok());
            found = text.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            !found.is_empty()
        });
        found
    }

    /// Waits until a person sees this.
    pub(crate) fn wait_for(&self, text: &str) {
        wait_until(&format!("{text} on the page"), || self.text().contains(text));
    }

    /// Presses the tabulator.
    pub(crate) fn press_tab(&self) {
        let keys = json!([{ "type": "keyDown", "value": "\u{e004}" }, { "type": "keyUp", "value": "\u{e004}" }]);
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": keys }] }));
    }

    /// What the browser complained of, such as a violated policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().unwrap().iter();
        let severe = entries.filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Writes a picture of the page.
    pub(crate) fn picture(&self, path: &Path) {
        let picture = self.call("GET", &format!("/session/{}/screenshot", self.session), &Value::Null);
        fs::write(path, STANDARD.decode(picture.as_str().unwrap()).unwrap()).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.driver);
        // The driver ends its browser when the session ends; whatever is left of the group ends with it.
        if !self.session.is_empty() && !thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.driver.wait();
    }
}
