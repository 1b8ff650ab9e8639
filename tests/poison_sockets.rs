//! The buffers of dropped transfers: nobody writes to one after it was freed, and none is kept for ever.

mod common;

use std::cell::RefCell;
use std::future::Future;
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;

use camshaft::buf::{IoBuf, IoBufMut};
use camshaft::net::{UdpSocket, UnixDatagram, UnixStream};
use common::{alone, poll_once, runtime, turn, until};

const POISON: u8 = 0xdd;

/// Where the memory of a buffer goes when it is freed.
type Grave = Rc<RefCell<Option<Box<[u8]>>>>;

/// A buffer that is overwritten when it is dropped, and whose memory stays to be looked at.
struct Watched {
    memory: Box<[u8]>,
    grave: Grave,
}

impl Watched {
    fn new(grave: &Grave) -> Self {
        Self {
            memory: vec![0; 64].into_boxed_slice(),
            grave: grave.clone(),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.memory.fill(POISON);
        self.grave.replace(Some(mem::take(&mut self.memory)));
    }
}

// SAFETY: the bytes lie on the heap and belong to this buffer alone, initialised from the start.
unsafe impl IoBuf for Watched {
    fn as_slice(&self) -> &[u8] {
        &self.memory
    }
}

// SAFETY: as above; there is nothing to mark.
unsafe impl IoBufMut for Watched {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        let len = self.memory.len();
        NonNull::slice_from_raw_parts(NonNull::from(&mut *self.memory).cast(), len)
    }

    fn fill_start(&self) -> usize {
        0
    }

    unsafe fn mark_init(&mut self, _: usize) {}
}

/// Sockets of each kind, and what sends to the receiving one.
struct Sockets {
    udp: (UdpSocket, std::net::UdpSocket),
    datagram: (UnixDatagram, std::os::unix::net::UnixDatagram),
    stream: (UnixStream, std::os::unix::net::UnixStream),
}

impl Sockets {
    fn new() -> Self {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        sender
            .connect(udp.local_addr().expect("bound"))
            .expect("a route");
        let datagram = std::os::unix::net::UnixDatagram::pair().expect("a pair");
        let stream = std::os::unix::net::UnixStream::pair().expect("a pair");
        Self {
            udp: (UdpSocket::from_std(udp).expect("a socket"), sender),
            datagram: (
                UnixDatagram::from_std(datagram.0).expect("a socket"),
                datagram.1,
            ),
            stream: (UnixStream::from_std(stream.0).expect("a socket"), stream.1),
        }
    }

    fn send(&self) {
        self.udp.1.send(b"late").expect("sent");
        self.datagram.1.send(b"late").expect("sent");
        std::io::Write::write_all(&mut &self.stream.1, b"late").expect("sent");
    }

    /// Each way to receive into a buffer that is watched.
    fn receives(&self, grave: &Grave) -> Vec<Pin<Box<dyn Future<Output = ()> + '_>>> {
        let buf = || Watched::new(grave);
        let (udp, datagram, stream) = (&self.udp.0, &self.datagram.0, &self.stream.0);
        let [a, b, c, d, e, f, g, h] = std::array::from_fn(|_| buf());
        vec![
            Box::pin(async { drop(udp.recv(a).await) }),
            Box::pin(async { drop(udp.recv_from(b).await) }),
            Box::pin(async { drop(udp.recv_segmented(c).await) }),
            Box::pin(async { drop(udp.peek_from(d).await) }),
            Box::pin(async { drop(datagram.recv_from(e).await) }),
            Box::pin(async { drop(stream.recv_with_fds(f).await) }),
            Box::pin(async { drop(stream.read_exact(g).await) }),
            Box::pin(async { drop(stream.read_vectored(vec![h]).await) }),
        ]
    }
}

fn is_untouched(grave: &Grave) -> bool {
    let grave = grave.borrow();
    let memory = grave.as_ref().expect("freed");
    memory.iter().all(|byte| *byte == POISON)
}

#[test]
fn nothing_is_written_to_a_freed_buffer() {
    let _alone = alone();
    runtime().block_on(async {
        for way in 0..8 {
            for entered in [false, true] {
                let grave = Grave::default();
                let sockets = Sockets::new();
                let mut receiving = sockets.receives(&grave).swap_remove(way);
                // The buffers of the others are freed by now.
                grave.take();
                assert!(poll_once(receiving.as_mut()).await.is_pending());
                if entered {
                    turn().await;
                }
                drop(receiving);
                sockets.send();
                until(|| grave.borrow().is_some()).await;
                turn().await;
                assert!(is_untouched(&grave), "{way} {entered}");
            }
        }
    });
}

#[test]
fn nothing_is_written_to_a_buffer_freed_at_teardown() {
    let _alone = alone();
    for way in 0..8 {
        let grave = Grave::default();
        let sockets = Rc::new(Sockets::new());
        let first = runtime();
        first.spawn({
            let (sockets, grave) = (sockets.clone(), grave.clone());
            async move {
                let receiving = sockets.receives(&grave).swap_remove(way);
                // The buffers of the others are freed by now.
                grave.take();
                receiving.await;
            }
        });
        first.block_on(turn());
        sockets.send();
        drop(first);
        sockets.send();
        assert!(is_untouched(&grave), "{way}");
    }
}
