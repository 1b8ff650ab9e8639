//! Connections that are made and accepted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;

use camshaft::net::{TcpListener, TcpStream};
use camshaft::task::yield_now;

use crate::Doing;
use crate::common::{Random, listener, poll_once, sockets};
use crate::work::wrapped;

/// They fit into the queue of the listener.
const WAITING: usize = 40;

#[derive(Default)]
struct Oracle {
    /// Connected and not yet accepted.
    connected: HashMap<SocketAddr, TcpStream>,
    /// Accepted, and its connect has not told us yet. Or it never will.
    early: HashMap<SocketAddr, TcpStream>,
    /// Connects that were begun and did not return.
    unknown: usize,
}

type Shared = Rc<RefCell<Oracle>>;

impl Oracle {
    fn accepted(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) if self.connected.remove(&peer).is_none() => {
                let twice = self.early.insert(peer, stream).is_some();
                assert!(!twice, "{peer} was accepted twice");
                assert!(
                    self.early.len() <= self.unknown,
                    "{peer} was accepted twice, or never connected"
                );
            }
            Ok(_) => {}
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}"),
        }
    }
}

pub(crate) struct Door {
    listener: Rc<TcpListener>,
    address: SocketAddr,
    oracle: Shared,
    connecting: Vec<Doing>,
    accepting: Option<Doing>,
}

impl Door {
    pub(crate) async fn new() -> Self {
        let (listener, address) = listener().await;
        Self {
            listener: Rc::new(listener),
            address,
            oracle: Shared::default(),
            connecting: Vec::new(),
            accepting: None,
        }
    }

    fn connect(&self) -> Doing {
        let (address, oracle) = (self.address, self.oracle.clone());
        Box::pin(async move {
            oracle.borrow_mut().unknown += 1;
            let connected = TcpStream::connect(address).await;
            let mut oracle = oracle.borrow_mut();
            match connected {
                Ok(stream) => {
                    oracle.unknown -= 1;
                    let name = stream.local_addr().expect("a socket");
                    if oracle.early.remove(&name).is_none() {
                        oracle.connected.insert(name, stream);
                    }
                }
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
                    oracle.unknown -= 1;
                }
            }
        })
    }

    fn accept(&self, random: &mut Random) -> Doing {
        let (listener, oracle) = (self.listener.clone(), self.oracle.clone());
        let many = random.below(6);
        Box::pin(async move {
            if many < 3 {
                let accepted = listener.accept().await;
                return oracle.borrow_mut().accepted(accepted);
            }
            let mut incoming = listener.incoming();
            for _ in 0..many {
                let stream = sockets::next(&mut incoming).await.expect("it never ends");
                let accepted = stream.and_then(|it| it.peer_addr().map(|peer| (it, peer)));
                match accepted {
                    // Its connect was dropped.
                    Err(error) if error.kind() == ErrorKind::NotConnected => {}
                    accepted => oracle.borrow_mut().accepted(accepted),
                }
            }
        })
    }

    pub(crate) async fn step(&mut self, random: &mut Random) {
        if random.one_in(2) {
            let (connected, unknown) = {
                let oracle = self.oracle.borrow();
                (oracle.connected.len(), oracle.unknown)
            };
            if self.connecting.len() < 3 && connected < WAITING && unknown < 3000 {
                self.connecting.push(wrapped(self.connect(), random));
            }
            let Some(mut doing) = self.connecting.pop() else {
                return;
            };
            if poll_once(doing.as_mut()).await.is_pending() && !random.one_in(6) {
                self.connecting.insert(0, doing);
            }
            return;
        }
        let mut doing = match self.accepting.take() {
            Some(doing) => doing,
            None => wrapped(self.accept(random), random),
        };
        if poll_once(doing.as_mut()).await.is_pending() && !random.one_in(5) {
            self.accepting = Some(doing);
        }
    }

    pub(crate) fn drop_operations(&mut self) {
        self.accepting = None;
        self.connecting.clear();
    }

    /// Whoever is connected is accepted.
    pub(crate) async fn end(mut self) {
        self.drop_operations();
        yield_now().await;
        while !self.oracle.borrow().connected.is_empty() {
            let accepted = self.listener.accept().await;
            self.oracle.borrow_mut().accepted(accepted);
        }
    }
}
