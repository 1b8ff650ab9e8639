//! Producer and consumer in the manner of libco: coroutines that are created, resumed and yield, a condition variable, and
//! poll, both with timeouts.
//!
//! Run it with `cargo run --features stackful --example libco_style`. A thread writes bytes to a socket, with a pause in between.
//! The producer polls the socket, as code for plain non-blocking descriptors does, and the consumer waits for what it makes of
//! them:
//!
//! ```text
//! producer: poll says that there is something
//! consumer: 1
//! …
//! producer: poll says that 20 ms are over
//! consumer: nothing was signalled for 30 ms
//! ```

mod co;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use camshaft::io::AsyncFd;

use co::{Cond, co_cond_signal, co_cond_timedwait, co_create, co_eventloop, co_poll, co_resume};

#[derive(Default)]
struct Shared {
    items: RefCell<VecDeque<u8>>,
    made: Cond,
    is_over: Cell<bool>,
}

fn produce(fd: &AsyncFd<UnixStream>, shared: &Shared) -> io::Result<()> {
    loop {
        if !co_poll(fd, Duration::from_millis(20))? {
            println!("producer: poll says that 20 ms are over");
            continue;
        }
        let mut buf = [0; 16];
        match fd.get_ref().read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(len) => {
                println!("producer: poll says that there is something");
                shared.items.borrow_mut().extend(&buf[..len]);
                co_cond_signal(&shared.made);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn consume(shared: &Shared) {
    loop {
        for item in shared.items.take() {
            println!("consumer: {item}");
        }
        if shared.is_over.get() {
            return;
        }
        if !co_cond_timedwait(&shared.made, Duration::from_millis(30)) {
            println!("consumer: nothing was signalled for 30 ms");
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut writer, reader) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    let writing = thread::spawn(move || {
        for (number, pause) in [(1, 0), (2, 5), (3, 5), (4, 50), (5, 5)] {
            thread::sleep(Duration::from_millis(pause));
            writer.write_all(&[number])?;
        }
        io::Result::Ok(())
    });
    camshaft::block_on(async {
        let reader = AsyncFd::new(reader)?;
        let shared = Rc::new(Shared::default());
        let (from, to) = (shared.clone(), shared);
        let producer = co_create(move || {
            if let Err(error) = produce(&reader, &to) {
                eprintln!("producer: {error}");
            }
            to.is_over.set(true);
            co_cond_signal(&to.made);
        });
        let consumer = co_create(move || consume(&from));
        for co in [&consumer, &producer] {
            co_resume(co);
        }
        co_eventloop(&[consumer, producer]).await
    })?;
    writing
        .join()
        .map_err(|_| "the writing thread panicked")??;
    Ok(())
}
