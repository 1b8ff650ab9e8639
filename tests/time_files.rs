//! A paused clock waits for work on files, which ends by itself.

mod common;

use std::path::PathBuf;

use camshaft::fs::{File, OpenOptions};
use camshaft::time::{Duration, Instant, sleep, timeout};
use common::{alone, paused};

const SECOND: Duration = Duration::from_secs(1);

/// A name that is free, and is removed with this value.
struct Name(PathBuf);

impl Name {
    fn new(name: &str) -> Self {
        let name = format!("camshaft-time-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_paused_clock_does_not_jump_over_work_on_a_file() {
    let _alone = alone();
    let name = Name::new("sync");
    let file = File::from_std(std::fs::File::create_new(&name.0).unwrap());
    paused().block_on(async {
        let start = Instant::now();
        for round in 0..5 {
            let written = file.write_at(vec![1; 100_000], round * 100_000).await.0;
            assert_eq!(written.unwrap(), 100_000);
            // That takes a while, on whatever thread.
            let synced = timeout(SECOND, file.sync_all()).await;
            synced.expect("no time passes meanwhile").unwrap();
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        sleep(SECOND).await;
        assert_eq!(start.elapsed(), SECOND, "and goes on afterwards");
    });
}

#[test]
fn a_paused_clock_does_not_jump_over_an_append() {
    let _alone = alone();
    let name = Name::new("append");
    paused().block_on(async {
        let mut options = OpenOptions::new();
        options
            .append(true)
            .create(true)
            .custom_flags(libc::O_DSYNC);
        let file = options.open(&name.0).await.unwrap();
        let written = timeout(SECOND, file.write_all(vec![7; 32 << 20])).await;
        written.expect("no time passes meanwhile").0.unwrap();
    });
}
