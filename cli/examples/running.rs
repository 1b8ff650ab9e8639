//! The future of section 6 of `docs/state-machines.md`, looked at while it runs.
//!
//! `cargo run -p camshaft-cli --example running` prints what two tasks wait for that have it as their future, and where they have
//! spent their time.

use std::io;
use std::time::Duration;

use camshaft::inspect::{self, record};
use camshaft::runtime::Builder;
use camshaft::task;
use camshaft::time::{Sleep, sleep};

fn pause() -> Sleep {
    sleep(Duration::from_millis(200))
}

async fn check(number: u32) -> Result<u32, String> {
    pause().await;
    Ok(number)
}

async fn retries(mut attempts: u32) -> Result<u32, String> {
    loop {
        pause().await;
        let answer = check(attempts).await?;
        if answer > 2 {
            return Ok(answer);
        }
        attempts += 1;
    }
}

/// What is seen of them after 1.1 s: one is at its third attempt, and the other sleeps before its first.
pub(crate) fn look(builder: Builder) -> io::Result<String> {
    let runtime = builder.record(1000).build()?;
    Ok(runtime.block_on(async {
        let named = |name: &str| task::Builder::new().name(name);
        let _early = named("early").spawn(retries(0));
        sleep(Duration::from_millis(1100)).await;
        let _late = named("late").spawn(retries(0));
        task::yield_now().await;
        let recording = record::recording();
        let recording = recording.map_or_else(String::new, |recording| recording.to_string());
        format!("{}\n{recording}", inspect::dump())
    }))
}

fn main() -> io::Result<()> {
    print!("{}", look(Builder::new())?);
    Ok(())
}
