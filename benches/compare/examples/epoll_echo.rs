//! A bare event loop: one epoll that waits for the standard input and for sockets at the same time, and echoes both.
//!
//! Run it with `cargo run -p camshaft-compare --example epoll_echo -- [PORT]`, type lines, and talk to it with
//! `nc 127.0.0.1 PORT`. It ends with the standard input. There is no task and no fiber here: what is to be done next for a
//! descriptor is looked up by its number, which is the state machine that the models of the comparison are there to hide.
//!
//! ```text
//! listening on 127.0.0.1:7001
//! hello
//! you said: hello
//! guest 5 came
//! guest 5 left after 6 bytes
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use camshaft_probe::poller::{Poller, accept, recv, send};

struct Guest {
    fd: OwnedFd,
    bytes: usize,
}

/// What waits for each descriptor.
struct Loop {
    poller: Poller,
    listener: TcpListener,
    guests: HashMap<RawFd, Guest>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let mut this = Loop {
        poller: Poller::new()?,
        listener,
        guests: HashMap::new(),
    };
    // Epoll refuses files, which are always ready: a redirected file is read to its end at once instead.
    if let Err(error) = this.add(libc::STDIN_FILENO) {
        eprintln!("the standard input can't be waited for ({error})");
        return Ok(io::copy(&mut io::stdin(), &mut io::stdout()).map(drop)?);
    }
    this.add(this.listener.as_raw_fd())?;
    // Not `Stdin`, whose buffer would hide from epoll what it has read ahead.
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    loop {
        for event in 0..this.poller.wait(-1)? {
            let fd = RawFd::try_from(this.poller.token(event))?;
            if fd == libc::STDIN_FILENO {
                let mut line = [0; 4096];
                let count = (&input).read(&mut line)?;
                if count == 0 {
                    return Ok(());
                }
                print!("you said: {}", String::from_utf8_lossy(&line[..count]));
                io::stdout().flush()?;
            } else if fd == this.listener.as_raw_fd() {
                this.welcome()?;
            } else {
                this.serve(fd)?;
            }
        }
    }
}

impl Loop {
    /// Level-triggered: what is not read now is reported again.
    fn add(&self, fd: RawFd) -> io::Result<()> {
        let token = usize::try_from(fd).map_err(io::Error::other)?;
        self.poller.add(fd, libc::EPOLLIN, token)
    }

    fn welcome(&mut self) -> io::Result<()> {
        while let Some(fd) = accept(self.listener.as_raw_fd())? {
            let number = fd.as_raw_fd();
            self.add(number)?;
            println!("guest {number} came");
            self.guests.insert(number, Guest { fd, bytes: 0 });
        }
        Ok(())
    }

    fn serve(&mut self, number: RawFd) -> io::Result<()> {
        let Some(guest) = self.guests.get_mut(&number) else {
            return Ok(());
        };
        let mut bytes = [0; 4096];
        match recv(guest.fd.as_raw_fd(), &mut bytes) {
            Ok(None) => return Ok(()),
            Ok(Some(count @ 1..)) => {
                guest.bytes += count;
                // A guest who does not read loses what there is no room for; the servers of the comparison keep it.
                if send(guest.fd.as_raw_fd(), &bytes[..count]).is_ok() {
                    return Ok(());
                }
            }
            Ok(Some(0)) | Err(_) => {}
        }
        println!("guest {number} left after {} bytes", guest.bytes);
        // Closing the descriptor removes it from the epoll.
        self.guests.remove(&number);
        Ok(())
    }
}
