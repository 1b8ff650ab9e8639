//! A chat: what one guest writes, all others read.
//!
//! Run it with `cargo run --example chat`, and talk to it from two other terminals with `nc 127.0.0.1 4000`. Another
//! address can be given as an argument. Each line arrives with the address of its author in front.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use anyhow::{Context, Result};
use camshaft::net::{TcpListener, TcpStream};

/// A line may be so long, and so many bytes may wait for a guest who reads slowly; more are not kept.
const LIMIT: usize = 64 * 1024;

type Room = Rc<RefCell<Vec<Rc<Guest>>>>;

struct Guest {
    stream: TcpStream,
    outbox: RefCell<Vec<u8>>,
    sending: Cell<bool>,
}

#[camshaft::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:4000");
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address:?}: an address is HOST:PORT, such as 0.0.0.0:4000; if it is in use, end the other \
             program or take another port (0 means any free one); ports below 1024 need privileges; the host must be an \
             address of this machine"
        )
    })?;
    println!("chatting on {}", listener.local_addr()?);
    let room = Room::default();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // No descriptor left, say: the next accept waits a little, so this does not spin.
            Err(error) => {
                eprintln!("a connection was not accepted: {error}");
                continue;
            }
        };
        let guest = Rc::new(Guest {
            stream,
            outbox: RefCell::default(),
            sending: Cell::new(false),
        });
        room.borrow_mut().push(guest.clone());
        let room = room.clone();
        camshaft::spawn(async move {
            if let Err(error) = listen(&guest, &room, &peer.to_string()).await {
                eprintln!("{peer}: {error}");
            }
            room.borrow_mut().retain(|other| !Rc::ptr_eq(other, &guest));
        });
    }
}

/// Hands every line of a guest to all others, until the guest leaves.
async fn listen(guest: &Rc<Guest>, room: &Room, name: &str) -> io::Result<()> {
    let mut heard = Vec::with_capacity(4096);
    while heard.len() < LIMIT {
        heard.reserve(512);
        let (read, buf) = guest.stream.read(heard).await;
        heard = buf;
        if read? == 0 {
            return Ok(());
        }
        while let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
            let text: Vec<u8> = heard.drain(..=end).collect();
            let line = [name.as_bytes(), b": ", &text].concat();
            for other in room.borrow().iter().filter(|o| !Rc::ptr_eq(o, guest)) {
                other.hear(&line);
            }
        }
    }
    Err(io::Error::other("the line is too long"))
}

impl Guest {
    /// Puts a line into the outbox, and starts a task that empties it if there is none.
    fn hear(self: &Rc<Self>, line: &[u8]) {
        if self.outbox.borrow().len() < LIMIT {
            self.outbox.borrow_mut().extend_from_slice(line);
        }
        if !self.sending.replace(true) {
            camshaft::spawn(self.clone().send());
        }
    }

    async fn send(self: Rc<Self>) {
        while !self.outbox.borrow().is_empty() {
            let batch = self.outbox.take();
            if self.stream.write_all(batch).await.0.is_err() {
                break; // the guest is gone, which `listen` reports
            }
        }
        self.sending.set(false);
    }
}
