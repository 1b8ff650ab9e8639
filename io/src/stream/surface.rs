//! The public methods of everything that reads from or writes to a stream socket, written once.

/// Gives types with a `socket()` the reading methods, `PollRead`, and `AsyncRead`, by value and by reference. `Type<S> where
/// S` is a type with a parameter.
macro_rules! transfers_read {
    ($($type:ty $(where $generic:ident)?),+) => {$(
        impl$(<$generic>)? $type {
            /// Reads some bytes into the room of a buffer: the spare capacity of a `Vec`, all of a `Box<[u8]>` or a
            /// slice. `Ok(0)` means the end of the stream. One submission, no allocation.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for a buffer without room; `ConnectionReset` and what else the system reports.
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Strict: no byte is lost. What a dropped read received comes first in the next read.
            pub fn read<B: $crate::buf::IoBufMut>(
                &self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> + use<'_, B $(, $generic)?> {
                $crate::op::Op::new($crate::stream::Receive::new(
                    self.socket(),
                    buf,
                    $crate::stream::Goal::Some,
                ))
            }

            /// Reads as [`read`](Self::read) does, and leaves the bytes to the next read.
            ///
            /// # Errors
            ///
            /// As [`read`](Self::read).
            ///
            /// # Cancellation
            ///
            /// Strict.
            pub fn peek<B: $crate::buf::IoBufMut>(
                &self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> + use<'_, B $(, $generic)?> {
                $crate::op::Op::new($crate::stream::Receive::new(
                    self.socket(),
                    buf,
                    $crate::stream::Goal::Peek,
                ))
            }

            /// Fills the room of a buffer, and returns how much that was.
            ///
            /// # Errors
            ///
            /// `UnexpectedEof` if the stream ends before; the buffer then holds what came. And as [`read`](Self::read).
            ///
            /// # Cancellation
            ///
            /// Strict: what was taken so far is given back, and comes first in the next read.
            pub fn read_exact<B: $crate::buf::IoBufMut>(
                &self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> + use<'_, B $(, $generic)?> {
                $crate::op::Op::new($crate::stream::Receive::new(
                    self.socket(),
                    buf,
                    $crate::stream::Goal::Full,
                ))
            }

            /// Reads until the end of the stream, appending to a vector that grows as needed. Returns how much was
            /// appended.
            ///
            /// # Errors
            ///
            /// What the system reports; the vector then holds what came before.
            ///
            /// # Cancellation
            ///
            /// Strict: what was taken so far is given back, and comes first in the next read.
            pub fn read_to_end(
                &self,
                buf: Vec<u8>,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, Vec<u8>>> + use<'_ $(, $generic)?> {
                $crate::op::Op::new($crate::stream::ReceiveToEnd::new(self.socket(), buf))
            }

            /// Reads some bytes into several buffers, in order; into the first 1024 that have room.
            ///
            /// # Errors
            ///
            /// `InvalidInput` if none has room. And as [`read`](Self::read).
            ///
            /// # Cancellation
            ///
            /// Strict, as [`read`](Self::read).
            pub fn read_vectored<B: $crate::buf::IoBufMut>(
                &self,
                bufs: Vec<B>,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, Vec<B>>> + use<'_, B $(, $generic)?> {
                $crate::op::Op::new($crate::stream::ReceiveVectored::new(self.socket(), bufs))
            }

            /// Receives some bytes into a buffer that is lent from the runtime's ring. An empty guard means the end of
            /// the stream.
            ///
            /// The kernel picks the buffer when data is there, so a connection that is idle pins none. When all are
            /// lent out, a private one from the heap stands in; a receive never waits for guards to be dropped.
            ///
            /// # Errors
            ///
            /// What the system reports.
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Strict: what a dropped receive brought is what the next read gets.
            pub fn recv(
                &self,
            ) -> impl Future<Output = std::io::Result<$crate::driver::BufGuard>> + use<'_ $(, $generic)?> {
                $crate::op::Op::new($crate::stream::ReceiveLent::new(self.socket()))
            }

            /// Receives as [`recv`](Self::recv) does, again and again: a stream of `io::Result<BufGuard>` that ends with the
            /// connection. Where the kernel can, it goes on receiving by itself (Linux 6.16), and up to 16 buffers wait to
            /// be taken.
            ///
            /// Another read beside it has its turn at once if nobody waits for the stream's next buffer, and it gets the first
            /// of what waits to be taken. If somebody does, that buffer comes first: go on polling the stream until it is
            /// there, or drop it. Descriptors that come with what the stream receives are closed, as by any read that does not
            /// ask for them.
            ///
            /// # Errors
            ///
            /// Its items are errors where [`recv`](Self::recv) would return one.
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Strict: what the stream had received when it was dropped is what the next read gets.
            pub fn recv_stream(&self) -> $crate::net::RecvStream<'_> {
                $crate::net::RecvStream::new(self.socket())
            }
        }

        $crate::stream::implement_read!($type, $type $(, $generic)?);
        $crate::stream::implement_read!(&$type, $type $(, $generic)?);

        impl$(<$generic>)? $crate::copy::AsSource for $type {
            fn as_source(&self) -> Option<$crate::copy::Source> {
                Some(self.socket().into())
            }
        }

        impl$(<$generic>)? $crate::poll::PollRead for $type {
            fn polled_read(&self) -> $crate::poll::PolledRead {
                $crate::poll::PolledRead::of_socket(self.socket())
            }
        }
    )+};
}

/// Implements `AsyncRead` by the inherent methods of `$base`, to which `$type` derefs.
macro_rules! implement_read {
    ($type:ty, $base:ty $(, $generic:ident)?) => {
        impl$(<$generic>)? $crate::AsyncRead for $type {
            fn read<B: $crate::buf::IoBufMut>(
                &mut self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> {
                <$base>::read(self, buf)
            }

            fn read_vectored<B: $crate::buf::IoBufMut>(
                &mut self,
                bufs: Vec<B>,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, Vec<B>>> {
                <$base>::read_vectored(self, bufs)
            }

            fn read_exact<B: $crate::buf::IoBufMut>(
                &mut self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> {
                <$base>::read_exact(self, buf)
            }

            fn read_to_end(
                &mut self,
                buf: Vec<u8>,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, Vec<u8>>> {
                <$base>::read_to_end(self, buf)
            }

            fn raw_source(&self) -> Option<$crate::copy::Source> {
                <$base as $crate::copy::AsSource>::as_source(self)
            }
        }
    };
}

/// Gives types with a `socket()` the writing methods and `AsyncWrite`, by value and by reference; as [`transfers_read`].
macro_rules! transfers_write {
    ($($type:ty $(where $generic:ident)?),+) => {$(
        impl$(<$generic>)? $type {
            /// Writes some bytes and returns how many. One submission, no allocation.
            ///
            /// # Errors
            ///
            /// `BrokenPipe`, `ConnectionReset` and what else the system reports. `SIGPIPE` is never raised.
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Weak: a prefix may have been sent. Nothing more of it is sent once the next write has begun.
            pub fn write<B: $crate::buf::IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> + use<'_, B $(, $generic)?> {
                $crate::op::Op::new($crate::stream::SendBuf::<B, $crate::stream::Part>::new(
                    self.socket(),
                    buf,
                ))
            }

            /// Writes all bytes. One submission, as a rule, whatever the length.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write); how much was written before is not known then.
            ///
            /// # Cancellation
            ///
            /// Weak, as [`write`](Self::write).
            pub fn write_all<B: $crate::buf::IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<(), B>> + use<'_, B $(, $generic)?> {
                $crate::op::Op::new($crate::stream::SendBuf::<B, $crate::stream::Whole>::new(
                    self.socket(),
                    buf,
                ))
            }

            /// Writes some bytes of several buffers, in order; of the first 1024 that are not empty.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write).
            ///
            /// # Cancellation
            ///
            /// Weak, as [`write`](Self::write).
            pub fn write_vectored<B: $crate::buf::IoBuf>(
                &self,
                bufs: Vec<B>,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, Vec<B>>> + use<'_, B $(, $generic)?> {
                $crate::op::Op::new($crate::stream::SendVectored::new(self.socket(), bufs))
            }

            /// Does nothing: what was written has been handed to the system.
            ///
            /// # Errors
            ///
            /// None.
            pub fn flush(&self) -> impl Future<Output = std::io::Result<()>> + use<$($generic)?> {
                std::future::ready(Ok(()))
            }

            /// Shuts writing down: the peer reads the end of the stream. Reading goes on.
            ///
            /// # Errors
            ///
            /// What `shutdown` reports: `NotConnected` after a reset, for example.
            ///
            /// # Cancellation
            ///
            /// Strict: nothing has happened if it is dropped before it is ready.
            pub fn shutdown(&self) -> impl Future<Output = std::io::Result<()>> + use<'_ $(, $generic)?> {
                $crate::stream::shutdown(self.socket())
            }
        }

        $crate::stream::implement_write!($type, $type $(, $generic)?);
        $crate::stream::implement_write!(&$type, $type $(, $generic)?);

        impl$(<$generic>)? $crate::copy::AsSink for $type {
            fn as_sink(&self) -> Option<$crate::copy::Sink> {
                Some(self.socket().into())
            }
        }

        impl$(<$generic>)? $crate::poll::PollWrite for $type {
            fn polled_write(&self) -> $crate::poll::PolledWrite {
                $crate::poll::PolledWrite::of_socket(self.socket())
            }
        }
    )+};
}

/// Gives types with a `socket()` the writing methods that do not copy.
macro_rules! zero_copy {
    ($($type:ty),+) => {$(
        impl $type {
            /// Writes some bytes as [`write`](Self::write) does, but has the network card take them from the buffer
            /// (Linux 6.0). The buffer comes back when the card and the peer are done with it, so a peer that does not read
            /// keeps it.
            ///
            /// That pays for large buffers, from about 64 KiB on, on a card that can do it. Where the kernel has to copy all
            /// the same, as on the loopback, the socket asks only once.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write).
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Weak, as [`write`](Self::write). The buffer is freed when the kernel is done with it; if the peer has not
            /// taken everything a second after the end of the runtime began, it is leaked.
            pub fn send_zero_copy<B: $crate::buf::IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> + use<'_, B> {
                type Extent = $crate::stream::ZeroCopy<$crate::stream::Part>;
                $crate::op::Op::new($crate::stream::SendBuf::<B, Extent>::new(self.socket(), buf))
            }

            /// Writes all bytes as [`send_zero_copy`](Self::send_zero_copy) writes some.
            ///
            /// # Errors
            ///
            /// As [`write_all`](Self::write_all).
            ///
            /// # Panics
            ///
            /// If polled outside of a camshaft runtime.
            ///
            /// # Cancellation
            ///
            /// Weak, as [`write`](Self::write). The buffer is freed when the kernel is done with it; if the peer has not
            /// taken everything a second after the end of the runtime began, it is leaked.
            pub fn write_all_zero_copy<B: $crate::buf::IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<(), B>> + use<'_, B> {
                type Extent = $crate::stream::ZeroCopy<$crate::stream::Whole>;
                $crate::op::Op::new($crate::stream::SendBuf::<B, Extent>::new(self.socket(), buf))
            }
        }
    )+};
}

/// Implements `AsyncWrite` by the inherent methods of `$base`, to which `$type` derefs.
macro_rules! implement_write {
    ($type:ty, $base:ty $(, $generic:ident)?) => {
        impl$(<$generic>)? $crate::AsyncWrite for $type {
            fn write<B: $crate::buf::IoBuf>(
                &mut self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> {
                <$base>::write(self, buf)
            }

            fn write_vectored<B: $crate::buf::IoBuf>(
                &mut self,
                bufs: Vec<B>,
            ) -> impl Future<Output = $crate::buf::BufResult<usize, Vec<B>>> {
                <$base>::write_vectored(self, bufs)
            }

            fn write_all<B: $crate::buf::IoBuf>(
                &mut self,
                buf: B,
            ) -> impl Future<Output = $crate::buf::BufResult<(), B>> {
                <$base>::write_all(self, buf)
            }

            fn flush(&mut self) -> impl Future<Output = std::io::Result<()>> {
                <$base>::flush(self)
            }

            fn shutdown(&mut self) -> impl Future<Output = std::io::Result<()>> {
                <$base>::shutdown(self)
            }

            fn raw_sink(&self) -> Option<$crate::copy::Sink> {
                <$base as $crate::copy::AsSink>::as_sink(self)
            }
        }
    };
}

pub(crate) use {implement_read, implement_write, transfers_read, transfers_write, zero_copy};
