//! How many instructions a request is, by callgrind, which runs this program once more.

use std::env;
use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context, ensure};

use super::server::Conversation;
use crate::experiment::{Outcome, Setting};
use crate::measure::{Metric, Sample};

/// Set where callgrind counts.
const COUNTED: &str = "CAMSHAFT_COMPARE_COUNTED";
/// Requests that are counted, after as many that are not.
const REQUESTS: u64 = 1000;

/// Counts the instructions of one way.
pub(super) fn count(setting: Setting, way: &str) -> anyhow::Result<Outcome> {
    if env::var_os(COUNTED).is_some() {
        let mut conversation = Conversation::with(way).context("a way that there is")?;
        let sums = |conversation: &mut Conversation| {
            let sums = (0..REQUESTS).filter_map(|_| conversation.ask(setting.at));
            sums.sum::<u64>()
        };
        let warm = sums(&mut conversation);
        let counted = requests_under_callgrind(&mut conversation, setting.at);
        ensure!(warm == counted, "every request has the same answer");
        return Ok(Sample::of(REQUESTS).into());
    }
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no"])
        .arg("--toggle-collect=*requests_under_callgrind*")
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(COUNTED, "1")
        .output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Outcome::Skipped("no valgrind on PATH".into()));
        }
        output => output.context("valgrind does not start")?,
    };
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.split_once("Collected :"));
    let total = line.and_then(|(_, number)| number.trim().parse::<f64>().ok());
    let total = total.with_context(|| {
        let last = text.lines().last().unwrap_or("it said nothing");
        format!("callgrind has counted nothing: {last}")
    })?;
    let each = total / REQUESTS as f64;
    Ok(Sample::of(REQUESTS).with(Metric::Instructions, each).into())
}

/// The one function whose instructions count.
#[inline(never)]
fn requests_under_callgrind(conversation: &mut Conversation, count: u64) -> u64 {
    let mut sums = 0;
    for _ in 0..REQUESTS {
        sums += conversation.ask(count).unwrap_or_default();
    }
    sums
}
