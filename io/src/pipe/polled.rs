//! Pipes between polls, for adapters to the traits of others.

use super::read::Read;
use super::write::{One, Write};
use super::{Chunk, PipeReader, PipeWriter, shutdown};
use crate::op::Op;
use crate::poll::{PollRead, PollWrite, PolledRead, PolledWrite};

/// The most bytes of one read.
const ROOM: usize = 8192;

impl PollRead for PipeReader {
    fn polled_read(&self) -> PolledRead {
        let (pipe, stash) = (self.pipe.clone(), self.pipe.clone());
        let read = move || {
            let read = Op::new(Read::some(&pipe, Vec::with_capacity(ROOM)));
            async move {
                let (result, bytes) = read.await;
                result.map(|_| bytes.into())
            }
        };
        let unread = move |bytes: &[u8]| {
            if !bytes.is_empty() {
                let bytes = bytes.to_vec();
                stash.restash(Chunk { bytes, taken: 0 });
            }
        };
        PolledRead::new(read, unread)
    }
}

impl PollWrite for PipeWriter {
    fn polled_write(&self) -> PolledWrite {
        let (pipe, closed) = (self.pipe.clone(), self.pipe.clone());
        let write = move |bytes| {
            let write = Op::new(Write::all(&pipe, One(bytes)));
            async move {
                let (result, One(bytes)) = write.await;
                (result.map(drop), bytes)
            }
        };
        PolledWrite::new(write, move || shutdown(closed.clone()))
    }
}
