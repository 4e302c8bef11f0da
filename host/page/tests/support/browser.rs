//! A headless Chromium, driven over the pipe of its DevTools protocol: real clocks, real keys and pointers.
//!
//! Messages are JSON with a zero byte behind each, on the browser's file descriptors 3 and 4. No crate is needed for that.

use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any answer takes; a browser that hangs is ended.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Browser {
    child: Child,
    commands: File,
    answers: Receiver<Value>,
    session: Value,
    asked: u64,
    /// What it told without having been asked.
    pub(crate) told: Vec<Value>,
    /// Its profile; goes when it goes.
    _directory: TempDir,
}

/// The browser that this machine has. `scripts/setup.sh --tests` installs one.
fn installed() -> PathBuf {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).flat_map(|place| names.map(|name| place.join(name)));
    places.find(|file| file.is_file()).expect("no chromium: scripts/setup.sh --tests installs it")
}

impl Browser {
    /// Opens a page and waits until it has drawn everything.
    pub(crate) fn open(page: &Path, width: u32, height: u32) -> Self {
        Self::open_after(page, width, height, "")
    }

    /// The same, after a script of the test has changed what the page finds.
    pub(crate) fn open_after(page: &Path, width: u32, height: u32, script: &str) -> Self {
        let mut browser = Self::start();
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].clone();
        for domain in ["Network", "Log", "Runtime", "Page"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(width, height);
        browser.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}));
        browser.call("Page.navigate", json!({"url": format!("file://{}", page.display())}));
        browser.wait("document.documentElement?.dataset.ready !== undefined");
        browser
    }

    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [commands, answers] = ["commands", "answers"].map(|name| directory.path().join(name));
        assert!(Command::new("mkfifo").args([&commands, &answers]).status().unwrap().success());
        let child = Command::new("sh")
            .args(["-c", "commands=$1 answers=$2; shift 2; exec \"$0\" \"$@\" 3<\"$commands\" 4>\"$answers\""])
            .args([&installed(), &commands, &answers])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
            // It leaves files when it is killed.
            .env("TMPDIR", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The shell opens them in this order, and each end waits for the other.
        let commands = OpenOptions::new().write(true).open(commands).unwrap();
        let mut reader = BufReader::new(File::open(answers).unwrap());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while reader.read_until(0, &mut message).is_ok_and(|size| size > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { break };
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        Self { child, commands, answers, session: Value::Null, asked: 0, told: Vec::new(), _directory: directory }
    }

    /// Asks for something, and waits for the answer.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut message = json!({"id": self.asked, "method": method, "params": parameters});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.answers.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] != json!(self.asked) {
                self.told.push(answer);
                continue;
            }
            assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
            return answer["result"].clone();
        }
    }

    /// The value of an expression; of a promise, what it promises.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression holds.
    pub(crate) fn wait(&mut self, expression: &str) {
        let began = Instant::now();
        while self.evaluate(expression) != json!(true) {
            assert!(began.elapsed() < PATIENCE, "never: {expression}; told {:?}", self.told);
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let parameters = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", parameters);
    }

    /// "light" or "dark".
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// What is seen of it, as PNG.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))");
        decoded(&self.call("Page.captureScreenshot", json!({"format": "png"}))["data"])
    }

    /// On paper, as PDF.
    pub(crate) fn paper(&mut self) -> Vec<u8> {
        let parameters = json!({"preferCSSPageSize": true, "paperWidth": 8.27, "paperHeight": 11.69});
        decoded(&self.call("Page.printToPDF", parameters)["data"])
    }

    /// A click of the left button, somewhere in an element.
    pub(crate) fn click(&mut self, selector: &str, x: f64, y: f64) {
        let (x, y) = self.place(selector, x, y);
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let parameters = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", parameters);
        }
    }

    /// A turn of the wheel.
    pub(crate) fn wheel(&mut self, selector: &str, x: f64, y: f64, delta: f64) {
        let (x, y) = self.place(selector, x, y);
        let parameters = json!({"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": delta});
        self.call("Input.dispatchMouseEvent", parameters);
    }

    /// Moves the pointer there, with the left button down from another place if one is given.
    pub(crate) fn drag(&mut self, selector: &str, from: (f64, f64), to: (f64, f64)) {
        for (kind, (x, y)) in [("mousePressed", from), ("mouseMoved", to), ("mouseReleased", to)] {
            let (x, y) = self.place(selector, x, y);
            let parameters = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1});
            self.call("Input.dispatchMouseEvent", parameters);
        }
    }

    /// Fingers that touch in some places and move to others.
    pub(crate) fn touch(&mut self, selector: &str, from: &[(f64, f64)], to: &[(f64, f64)]) {
        self.call("Emulation.setTouchEmulationEnabled", json!({"enabled": true, "maxTouchPoints": 2}));
        for (kind, places) in [("touchStart", from), ("touchMove", to), ("touchEnd", &[])] {
            let points: Vec<Value> = places
                .iter()
                .zip(1..)
                .map(|((x, y), id)| {
                    let (x, y) = self.place(selector, *x, *y);
                    json!({"x": x, "y": y, "id": id})
                })
                .collect();
            self.call("Input.dispatchTouchEvent", json!({"type": kind, "touchPoints": points}));
        }
    }

    /// Moves the pointer.
    pub(crate) fn hover(&mut self, selector: &str, x: f64, y: f64) {
        let (x, y) = self.place(selector, x, y);
        self.call("Input.dispatchMouseEvent", json!({"type": "mouseMoved", "x": x, "y": y}));
    }

    fn place(&mut self, selector: &str, x: f64, y: f64) -> (f64, f64) {
        let element = format!("document.querySelector({})", json!(selector));
        let rectangle = self.evaluate(&format!(
            "(() => {{ const element = {element}; element.scrollIntoView({{block: 'nearest'}}); \
             const at = element.getBoundingClientRect(); return [at.left, at.top]; }})()"
        ));
        (rectangle[0].as_f64().unwrap() + x, rectangle[1].as_f64().unwrap() + y)
    }

    /// A key, by its name: "ArrowDown", "+". With shift: 8, with control: 2.
    pub(crate) fn key(&mut self, key: &str, modifiers: u32) {
        let text = if key == "Enter" {
            "\r"
        } else if key.len() == 1 {
            key
        } else {
            ""
        };
        let down = json!({"type": "keyDown", "key": key, "code": key, "text": text, "modifiers": modifiers});
        self.call("Input.dispatchKeyEvent", down);
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key, "code": key, "modifiers": modifiers}));
    }

    /// Text as if typed.
    pub(crate) fn insert(&mut self, selector: &str, text: &str) {
        self.evaluate(&format!("document.querySelector({}).focus()", json!(selector)));
        self.evaluate("document.activeElement.select()");
        self.call("Input.insertText", json!({"text": text}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn decoded(data: &Value) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(data.as_str().unwrap()).unwrap()
}
