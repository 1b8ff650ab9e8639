//! A headless Chromium, driven by its debugging protocol over two pipes: JSON messages, each ended by a zero byte.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// No window, no update, no word to anybody.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "about:blank",
];

/// The names that it goes by.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// The descriptors at which Chromium expects the pipes.
const FOR_COMMANDS: RawFd = 3;
const FOR_ANSWERS: RawFd = 4;

/// One page of a browser; dropping it ends the browser.
#[derive(Debug)]
pub(crate) struct Browser {
    child: Child,
    profile: PathBuf,
    commands: File,
    answers: BufReader<File>,
    session: Value,
    last: u64,
    complaints: Vec<String>,
    requests: Vec<String>,
}

impl Browser {
    /// Starts it; `None` if there is none on PATH.
    pub(crate) fn start() -> Option<Self> {
        let profile =
            std::env::temp_dir().join(format!("camshaft-chromium-{}", std::process::id()));
        let (their_commands, commands) = pipe();
        let (answers, their_answers) = pipe();
        let (from, to) = (their_commands.as_raw_fd(), their_answers.as_raw_fd());
        let child = NAMES.iter().find_map(|name| {
            let mut command = Command::new(name);
            command
                .args(FLAGS)
                .arg(format!("--user-data-dir={}", profile.display()));
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            // SAFETY: between fork and exec only `dup2` is called, which is async-signal-safe. The pipes were moved above the
            // two numbers, so none is closed before it is duplicated.
            unsafe { command.pre_exec(move || inherit(from, to)) };
            command.spawn().ok()
        })?;
        let mut browser = Self {
            child,
            profile,
            commands: File::from(commands),
            answers: BufReader::new(File::from(answers)),
            session: Value::Null,
            last: 0,
            complaints: Vec::new(),
            requests: Vec::new(),
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Shows the page in a window of this width, for somebody who likes it `light` or `dark`.
    pub(crate) fn resize(&mut self, width: u32, scheme: &str) {
        let metrics =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Opens a page, and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert!(answer.get("errorText").is_none(), "{answer}");
        while self.next()["method"] != "Page.loadEventFired" {}
    }

    /// The value of an expression.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            json!({"expression": expression, "returnByValue": true}),
        );
        assert!(answer.get("exceptionDetails").is_none(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// The whole page as PNG.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        let answer = self.call(
            "Page.captureScreenshot",
            json!({"captureBeyondViewport": true}),
        );
        decoded(answer["data"].as_str().unwrap_or_default())
    }

    /// What was written to the console, and what went wrong.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Everything that was asked for.
    pub(crate) fn requests(&self) -> &[String] {
        &self.requests
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("the browser lives");
        loop {
            let mut answer = self.next();
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// The next message; events are noted.
    fn next(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.answers
            .read_until(0, &mut bytes)
            .expect("the browser lives");
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        let message: Value = serde_json::from_slice(&bytes).expect("the browser speaks JSON");
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled") => {
                self.complaints.push(params.to_string());
            }
            Some("Log.entryAdded") => self.complaints.push(params["entry"]["text"].to_string()),
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
            _ => {}
        }
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself, and files that are left in a temporary folder hurt nobody.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// A pipe whose ends lie above the numbers at which the browser expects its own.
fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: `ends` is valid to write two descriptors to.
    let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(result, 0, "two descriptors are left");
    let [read, write] = ends.map(|end| {
        // SAFETY: the descriptor is new, and owned by nobody else.
        let low = unsafe { OwnedFd::from_raw_fd(end) };
        // SAFETY: `low` is open. The duplicate is another descriptor.
        let high = unsafe { libc::fcntl(low.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 10) };
        assert!(high >= 10, "a descriptor is left");
        // SAFETY: the descriptor is new, and owned by nobody else.
        unsafe { OwnedFd::from_raw_fd(high) }
    });
    (read, write)
}

/// Gives the ends of two pipes the numbers that the browser expects; the duplicates survive the exec.
fn inherit(commands: RawFd, answers: RawFd) -> std::io::Result<()> {
    for (from, to) in [(commands, FOR_COMMANDS), (answers, FOR_ANSWERS)] {
        // SAFETY: both are numbers of descriptors of this process, and no memory is passed.
        if unsafe { libc::dup2(from, to) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The bytes of Base64.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = text.bytes().filter_map(digit).collect();
    let group = |digits: &[u8]| {
        let bits = digits
            .iter()
            .fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit))
            << (6 * (4 - digits.len()));
        bits.to_be_bytes()[1..digits.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
