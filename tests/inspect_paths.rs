//! Paths of sources are told from where the program was compiled, wherever it runs.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::time::Duration;

use camshaft::runtime::Builder;
use camshaft::time::sleep;

#[test]
fn a_service_runs_elsewhere() {
    isolated("a_service_runs_elsewhere", || {
        std::env::set_current_dir("/").expect("there is a root");
        if !is_described() {
            return;
        }
        let runtime = Builder::new().record(10).build();
        let runtime = runtime.expect("a runtime can be built");
        let dump = runtime.block_on(async {
            camshaft::spawn(waits());
            camshaft::task::yield_now().await;
            camshaft::inspect::dump().to_string()
        });
        assert!(dump.contains(" tests/inspect_paths.rs:"), "{dump}");
        let recording = runtime.recording().expect("it is recorded").to_string();
        assert!(
            recording.contains(" tests/inspect_paths.rs:"),
            "{recording}"
        );
    });
}

async fn waits() {
    sleep(Duration::from_secs(1)).await;
}
