//! Time: sleeping, giving up, ticking, and a clock that stands still.
//!
//! Run it with `cargo run --example timers`. It takes a third of a second, an hour of which is not real:
//!
//! ```text
//! slept 50 ms: 50 ms have passed
//! timeout: the deadline has elapsed, and the future is still there
//! tick 1 after 0 ms
//! tick 2 after 20 ms
//! tick 3 after 40 ms
//! paused clock: slept 3600 s in less than a second
//! ```

use std::error::Error;
use std::pin::pin;

use camshaft::runtime::Builder;
use camshaft::time::{Duration, Instant, interval, sleep, timeout};

fn main() -> Result<(), Box<dyn Error>> {
    camshaft::block_on(async {
        sleeping().await;
        giving_up().await?;
        ticking().await;
        Ok::<(), Box<dyn Error>>(())
    })?;
    standing_still()?;
    Ok(())
}

/// A sleep waits at least as long as it is asked to.
async fn sleeping() {
    let start = Instant::now();
    sleep(Duration::from_millis(50)).await;
    println!(
        "slept 50 ms: {} ms have passed",
        start.elapsed().as_millis()
    );
}

/// A timeout on a borrowed future leaves the future where it was, so that it can be awaited again.
async fn giving_up() -> Result<(), Box<dyn Error>> {
    let mut slow = pin!(sleep(Duration::from_millis(60)));
    match timeout(Duration::from_millis(10), slow.as_mut()).await {
        Ok(()) => return Err("60 ms passed within 10".into()),
        Err(elapsed) => println!("timeout: {elapsed}, and the future is still there"),
    }
    slow.await;
    Ok(())
}

/// An interval keeps its rhythm however long the work between two ticks takes.
async fn ticking() {
    let start = Instant::now();
    let mut beat = interval(Duration::from_millis(20));
    for number in 1..=3 {
        beat.tick().await;
        println!("tick {number} after {} ms", start.elapsed().as_millis());
        sleep(Duration::from_millis(7)).await;
    }
}

/// On a paused clock time jumps to the next deadline as soon as every task waits: what a test of timeouts needs.
fn standing_still() -> Result<(), Box<dyn Error>> {
    let real = std::time::Instant::now();
    let runtime = Builder::new().paused_clock(true).build()?;
    let slept = runtime.block_on(async {
        let start = Instant::now();
        sleep(Duration::from_secs(3600)).await;
        start.elapsed()
    });
    if real.elapsed() > Duration::from_secs(1) {
        return Err("the paused clock waited".into());
    }
    println!(
        "paused clock: slept {} s in less than a second",
        slept.as_secs()
    );
    Ok(())
}
