//! Standard streams between polls, for adapters to the traits of others.

use super::input::{self, Stdin, stdin};
use super::output::{Stderr, Stdout};
use crate::poll::{PollRead, PollWrite, PolledRead, PolledWrite};

/// The most bytes of one read.
const ROOM: usize = 8192;

impl PollRead for Stdin {
    fn polled_read(&self) -> PolledRead {
        let read = async || {
            let (result, bytes) = stdin().read(Vec::with_capacity(ROOM)).await;
            result.map(|_| bytes.into())
        };
        PolledRead::new(read, input::unread)
    }
}

/// Gives an output `PollWrite`.
macro_rules! polled_write {
    ($($output:ident),+) => {$(
        impl PollWrite for $output {
            fn polled_write(&self) -> PolledWrite {
                let output = *self;
                PolledWrite::new(
                    move |bytes| async move { output.write_all(bytes).await },
                    move || async move { output.shutdown().await },
                )
            }
        }
    )+};
}

polled_write!(Stdout, Stderr);
