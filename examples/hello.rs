//! The smallest program: a runtime, a task, a sleep.
//!
//! Run it with `cargo run --example hello`; it greets twice, the second time from a task.

use camshaft::time::{Duration, sleep};

#[camshaft::main]
async fn main() -> Result<(), camshaft::task::JoinError> {
    println!("hello from the main future");
    let task = camshaft::spawn(async {
        sleep(Duration::from_millis(10)).await;
        "hello from a task, 10 ms later"
    });
    println!("{}", task.await?);
    Ok(())
}
