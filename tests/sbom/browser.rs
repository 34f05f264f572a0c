//! Debian's Chromium without a window, driven over WebDriver (W3C) by its own chromedriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::{Sandbox, peer};

/// What WebDriver calls keys.
pub(super) const TAB: &str = "\u{e004}";
pub(super) const ENTER: &str = "\u{e007}";
pub(super) const ESCAPE: &str = "\u{e00c}";
pub(super) const LEFT: &str = "\u{e012}";
pub(super) const UP: &str = "\u{e013}";
pub(super) const RIGHT: &str = "\u{e014}";
pub(super) const DOWN: &str = "\u{e015}";

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with a profile of its own, ended when dropped.
pub(super) struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

/// Starts one, with its files in the sandbox; `None` where there is none.
pub(super) fn chromium(sandbox: &Sandbox) -> Option<Browser> {
    let chromium = peer::tool("chromium")?.get_program().to_owned();
    // It takes a port that is free under one version of IP, and gives up where that is taken under the other.
    peer::tool("chromedriver")?;
    let mut browser = std::iter::repeat_with(|| driver(sandbox)).take(20).flatten().next().unwrap();
    let mut arguments = vec![
        "--headless=new".to_owned(),
        "--disable-gpu".into(),
        "--disable-dev-shm-usage".into(),
        "--no-first-run".into(),
        "--hide-scrollbars".into(),
        "--disable-background-networking".into(),
        "--disable-component-update".into(),
        "--host-resolver-rules=MAP * ~NOTFOUND".into(),
        "--window-size=1280,1000".into(),
        format!("--user-data-dir={}", sandbox.path("profile").display()),
    ];
    if peer::root().is_some() {
        // Its sandbox does not work for root.
        arguments.push("--no-sandbox".into());
    }
    let wanted = json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": {"binary": chromium.to_str(), "args": arguments},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }}});
    browser.session = browser.ask("POST", "/session", &wanted)["sessionId"].as_str().unwrap().to_owned();
    // What it opens by itself is not asked for by a page.
    browser.call("url", &json!({"url": "about:blank"}));
    browser.call("se/log", &json!({"type": "performance"}));
    Some(browser)
}

/// Starts a driver without a session; `None` where it gave up.
fn driver(sandbox: &Sandbox) -> Option<Browser> {
    let mut driver = sandbox.enclose(peer::tool("chromedriver")?);
    // A group of its own, to which the browser belongs as well: from here on both are ended whatever fails.
    driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let driver = driver.spawn().unwrap();
    let mut browser = Browser { driver, port: 0, session: String::new() };
    let mut said = BufReader::new(browser.driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    // "ChromeDriver was started successfully on port 40123."
    let port =
        said.find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
    browser.port = port?;
    // It would end with the pipe that it talks into.
    std::thread::spawn(move || said.for_each(drop));
    Some(browser)
}

impl Browser {
    /// Loads a page from a file.
    pub(super) fn open(&self, page: &Path) {
        self.call("url", &json!({"url": format!("file://{}", page.display())}));
    }

    /// What a function's body returns in the page.
    pub(super) fn run(&self, script: &str) -> Value {
        self.call("execute/sync", &json!({"script": script, "args": []}))
    }

    /// The same as a text.
    pub(super) fn text(&self, script: &str) -> String {
        self.run(script).as_str().unwrap_or_default().to_owned()
    }

    /// Presses keys, one after the other.
    pub(super) fn press(&self, keys: &[&str]) {
        let strokes = keys.iter().flat_map(|key| {
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
        });
        let actions = json!([{"type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>()}]);
        self.call("actions", &json!({"actions": actions}));
    }

    /// Clicks with a mouse into the middle of what a selector finds first; it must be what is hit there.
    pub(super) fn click(&self, selector: &str) {
        let found = self.call("element", &json!({"using": "css selector", "value": selector}));
        let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.call(&format!("element/{element}/click"), &json!({}));
    }

    /// A command of the DevTools protocol.
    pub(super) fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.call("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// A screen of this size, in pixels of CSS.
    pub(super) fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// Light or dark.
    pub(super) fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// A picture of the window, as PNG.
    pub(super) fn picture(&self) -> Vec<u8> {
        let picture = self.ask("GET", &format!("/session/{}/screenshot", self.session), &Value::Null);
        base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap()
    }

    /// Fails where the console says anything, or where more was asked for than this page.
    pub(super) fn assert_quiet(&self, page: &Path) {
        let log = |kind: &str| self.call("se/log", &json!({"type": kind})).as_array().unwrap().clone();
        assert_eq!(log("browser"), Vec::<Value>::new(), "the console is silent");
        let events = log("performance");
        let events =
            events.iter().map(|entry| serde_json::from_str(entry["message"].as_str().unwrap()).unwrap());
        let asked = events.filter(|event: &Value| event["message"]["method"] == "Network.requestWillBeSent");
        let asked: Vec<_> = asked
            .map(|event| event["message"]["params"]["request"]["url"].as_str().unwrap().to_owned())
            .collect();
        let here = format!("file://{}", page.display());
        assert!(asked.contains(&here), "the log has what is asked for: {asked:?}");
        let others: Vec<_> = asked.iter().filter(|url| **url != here && !url.starts_with("data:")).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    fn call(&self, command: &str, parameters: &Value) -> Value {
        self.ask("POST", &format!("/session/{}/{command}", self.session), parameters)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, value) = self.try_to_ask(method, path, body).unwrap();
        assert!(
            status.contains(" 200 "),
            "{path}: {status}: {}",
            value.to_string().chars().take(600).collect::<String>()
        );
        value
    }

    fn try_to_ask(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(String, Value)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = if method == "POST" { body.to_string() } else { String::new() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut answer = BufReader::new(stream);
        let (mut status, mut length) = (String::new(), 0);
        answer.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line)?;
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap()
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut bytes = vec![0; length];
        answer.read_exact(&mut bytes)?;
        let mut value: Value = serde_json::from_slice(&bytes)?;
        Ok((status, value["value"].take()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser goes with its session, where there is one.
        if !self.session.is_empty() {
            drop(self.try_to_ask("DELETE", &format!("/session/{}", self.session), &Value::Null));
        }
        drop(Command::new("kill").args(["-TERM", "--", &format!("-{}", self.driver.id())]).status());
        drop(self.driver.wait());
    }
}
