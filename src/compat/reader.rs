//! The reading side of an adapter: bytes that were received and not used yet, or a receive in flight.

use std::io;
use std::task::{Context, Poll, ready};

use camshaft_io::driver::BufGuard;
use camshaft_io::poll::{PollRead, PolledRead};

/// The reading side of an adapter.
#[derive(Default)]
pub(super) struct Reader {
    polled: Option<PolledRead>,
    guard: Option<BufGuard>,
    /// How many bytes of the guard were used.
    used: usize,
}

impl Reader {
    /// The bytes that were received and not used.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        self.guard.as_deref().map_or(&[], |all| &all[self.used..])
    }

    /// Receives if there are no bytes. None after that: the end of the stream.
    #[inline]
    pub(super) fn poll_fill(
        &mut self,
        stream: &impl PollRead,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<&[u8]>> {
        if self.rest().is_empty() {
            let polled = self.polled.get_or_insert_with(|| stream.polled_read());
            self.guard = Some(ready!(polled.poll_recv(cx))?);
            self.used = 0;
        }
        Poll::Ready(Ok(self.rest()))
    }

    /// Uses the first `n` bytes. When none are left their buffer goes back at once.
    #[inline]
    pub(super) fn consume(&mut self, n: usize) {
        let left = self.rest().len();
        assert!(
            n <= left,
            "{n} bytes are consumed, but only {left} have been received"
        );
        self.used += n;
        if n == left {
            self.guard = None;
        }
    }
}

impl Drop for Reader {
    /// Gives back what was not used: a stream that was only borrowed is read on by somebody else.
    fn drop(&mut self) {
        if let Some(polled) = self.polled.take() {
            polled.unread(self.rest());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::task::Waker;

    use super::*;

    struct Lines;

    impl PollRead for Lines {
        fn polled_read(&self) -> PolledRead {
            let mut lines = ["one", "two"].into_iter();
            PolledRead::new(
                move || {
                    ready(Ok(lines
                        .next()
                        .unwrap_or_default()
                        .as_bytes()
                        .to_vec()
                        .into()))
                },
                |bytes| assert_eq!(bytes, b"wo"),
            )
        }
    }

    #[test]
    fn a_buffer_goes_back_as_soon_as_its_last_byte_is_used() {
        let mut reader = Reader::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut fill = |reader: &mut Reader| {
            reader
                .poll_fill(&Lines, &mut cx)
                .map(|it| it.unwrap().len())
        };
        assert_eq!(fill(&mut reader), Poll::Ready(3));
        reader.consume(2);
        assert_eq!(fill(&mut reader), Poll::Ready(1), "the rest first");
        reader.consume(1);
        assert!(reader.guard.is_none());
        assert_eq!(fill(&mut reader), Poll::Ready(3));
        reader.consume(1);
        drop(reader);
    }
}
