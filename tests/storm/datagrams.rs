//! Whole messages: UDP, Unix datagrams, sequenced packets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use camshaft::buf::IoBuf;
use camshaft::net::{UdpSocket, UnixDatagram, UnixSeqpacket};
use camshaft::task::yield_now;
use camshaft::time::{Duration, sleep, timeout};

use crate::Doing;
use crate::common::tracked::Tracked;
use crate::common::{Random, poll_once};
use crate::work::wrapped;

/// So many messages are on the way at most: they fit into the buffer of a UDP socket.
const ON_THE_WAY: usize = 20;
const ROOM: usize = 600;

#[derive(Clone)]
enum Sockets {
    Udp(Rc<UdpSocket>, Rc<UdpSocket>),
    Datagram(Rc<UnixDatagram>, Rc<UnixDatagram>),
    Seqpacket(Rc<UnixSeqpacket>, Rc<UnixSeqpacket>),
}

/// A message that was sent, or perhaps: its send was dropped.
struct Message {
    bytes: Vec<u8>,
    is_certain: bool,
}

#[derive(Default)]
struct Oracle {
    sent: VecDeque<Message>,
    numbers: u32,
}

type Shared = Rc<RefCell<Oracle>>;

impl Oracle {
    fn take(&mut self, bytes: &[u8]) {
        while let Some(message) = self.sent.pop_front() {
            if message.bytes == bytes {
                return;
            }
            let number = |bytes: &[u8]| bytes.get(..4).map(<[u8]>::to_vec);
            assert!(
                !message.is_certain,
                "{:?} came in the place of {:?}",
                number(bytes),
                number(&message.bytes)
            );
        }
        panic!("a message came that was not sent, or twice");
    }

    fn peek(&self, bytes: &[u8]) {
        let first = self
            .sent
            .iter()
            .find(|it| it.is_certain || it.bytes == bytes);
        assert!(first.is_some_and(|it| it.bytes == bytes), "an old message");
    }

    fn update(&mut self, number: u32, known: impl FnOnce(&mut Message)) {
        let number = number.to_be_bytes();
        let sent = &mut self.sent;
        sent.iter_mut()
            .find(|it| it.bytes[..4] == number)
            .map(known);
    }
}

pub(crate) struct Messages {
    sockets: Sockets,
    oracle: Shared,
    sending: Option<Doing>,
    receiving: Option<Doing>,
}

macro_rules! on_each {
    ($sockets:expr, |$from:ident, $to:ident| $body:expr) => {
        match $sockets {
            Sockets::Udp($from, $to) => $body,
            Sockets::Datagram($from, $to) => $body,
            Sockets::Seqpacket($from, $to) => $body,
        }
    };
}

impl Messages {
    pub(crate) fn new(random: &mut Random) -> Self {
        let sockets = match random.below(3) {
            0 => {
                let [a, b] =
                    [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").expect("a port"));
                a.connect(b.local_addr().expect("bound")).expect("a route");
                b.connect(a.local_addr().expect("bound")).expect("a route");
                let [a, b] = [a, b].map(|it| Rc::new(UdpSocket::from_std(it).expect("a socket")));
                Sockets::Udp(a, b)
            }
            1 => {
                let (a, b) = UnixDatagram::pair().expect("a pair");
                Sockets::Datagram(Rc::new(a), Rc::new(b))
            }
            _ => {
                let (a, b) = UnixSeqpacket::pair().expect("a pair");
                Sockets::Seqpacket(Rc::new(a), Rc::new(b))
            }
        };
        Self {
            sockets,
            oracle: Shared::default(),
            sending: None,
            receiving: None,
        }
    }

    fn begin_send(&self, random: &mut Random) -> Option<Doing> {
        let oracle = self.oracle.clone();
        if oracle.borrow().sent.len() >= ON_THE_WAY {
            return None;
        }
        let filler = random.next().to_le_bytes()[0];
        let len = random.below(ROOM - 4);
        let sockets = self.sockets.clone();
        Some(Box::pin(async move {
            let (number, bytes) = {
                let mut oracle = oracle.borrow_mut();
                oracle.numbers += 1;
                let mut bytes = oracle.numbers.to_be_bytes().to_vec();
                bytes.resize(4 + len, filler);
                oracle.sent.push_back(Message {
                    bytes: bytes.clone(),
                    is_certain: false,
                });
                (oracle.numbers, bytes)
            };
            let buf = Tracked::full(bytes);
            let sent = on_each!(sockets, |from, _to| from.send(buf).await.0);
            assert_eq!(sent.expect("it is sent"), 4 + len);
            // It may have been received before this was known.
            oracle
                .borrow_mut()
                .update(number, |it| it.is_certain = true);
        }))
    }

    fn begin_receive(&self, random: &mut Random) -> Doing {
        let (oracle, sockets) = (self.oracle.clone(), self.sockets.clone());
        let kind = random.below(6);
        Box::pin(async move {
            let buf = Tracked::room(ROOM);
            let length = |(result, buf): (io::Result<(usize, _)>, _)| (result.map(|(n, _)| n), buf);
            let unix = |(result, buf): (io::Result<(usize, _)>, _)| (result.map(|(n, _)| n), buf);
            let (result, buf) = match (&sockets, kind) {
                (_, 0) => on_each!(&sockets, |_from, to| to.peek(buf).await),
                (_, 1) => {
                    return on_each!(&sockets, |_from, to| to.readable().await.expect("a socket"));
                }
                (Sockets::Udp(_, to), 2 | 3) => length(to.recv_from(buf).await),
                (Sockets::Datagram(_, to), 2 | 3) => unix(to.recv_from(buf).await),
                _ => on_each!(&sockets, |_from, to| to.recv(buf).await),
            };
            assert_eq!(result.expect("a message"), buf.as_slice().len());
            let mut oracle = oracle.borrow_mut();
            match kind {
                0 => oracle.peek(buf.as_slice()),
                _ => oracle.take(buf.as_slice()),
            }
        })
    }

    pub(crate) async fn step(&mut self, random: &mut Random) {
        let send = random.one_in(2);
        let doing = if send {
            self.sending.take()
        } else {
            self.receiving.take()
        };
        let doing = doing.or_else(|| {
            let doing = match send {
                true => self.begin_send(random)?,
                false => self.begin_receive(random),
            };
            Some(wrapped(doing, random))
        });
        let Some(mut doing) = doing else {
            return;
        };
        let unpolled = random.one_in(12);
        if unpolled || poll_once(doing.as_mut()).await.is_ready() || random.one_in(5) {
            return;
        }
        *if send {
            &mut self.sending
        } else {
            &mut self.receiving
        } = Some(doing);
    }

    pub(crate) fn drop_operations(&mut self) {
        self.sending = None;
        self.receiving = None;
    }

    /// One more message is sent, and all that is certain arrives before it.
    pub(crate) async fn end(mut self) {
        self.drop_operations();
        yield_now().await;
        loop {
            let bytes = b"the last of them".to_vec();
            let sent = on_each!(&self.sockets, |from, _to| timeout(
                Duration::from_millis(1),
                from.send(Tracked::full(bytes.clone()))
            )
            .await);
            if let Ok((sent, _)) = sent {
                sent.expect("it is sent");
                self.oracle.borrow_mut().sent.push_back(Message {
                    bytes,
                    is_certain: true,
                });
                break;
            }
            // There was no room, and it may have been sent all the same.
            self.oracle.borrow_mut().sent.push_back(Message {
                bytes,
                is_certain: false,
            });
            let _ = timeout(Duration::from_millis(1), self.receive()).await;
        }
        while !self.oracle.borrow().sent.is_empty() {
            self.receive().await;
        }
        sleep(Duration::from_micros(1)).await;
    }

    async fn receive(&self) {
        let (result, buf) = on_each!(&self.sockets, |_from, to| to
            .recv(Tracked::room(ROOM))
            .await);
        assert_eq!(result.expect("a message"), buf.as_slice().len());
        self.oracle.borrow_mut().take(buf.as_slice());
    }
}
