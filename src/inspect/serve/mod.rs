//! Answers those who ask from outside what the runtime does: through a socket, and with a page.
//!
//! ```text
//!   camshaft dump, camshaft top ── socket ──┐
//!                                           ├── crowd ── desk ── look ── inspect::dump, metrics
//!   a browser ──────────────────── http ────┘    │         └ how often
//!                                                └ how many, how much
//! ```
//!
//! Both are background tasks of the runtime, on its own ring. Nothing here has a timer: the clock of the runtime may be
//! paused, and a timer of ours would move it. What bounds a client that hangs is the next one: a [crowd](crowd::attend)
//! has so many places, and whoever comes when all are taken gets that of who has been there longest.

mod crowd;
mod desk;
mod http;
mod look;
mod peer;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use camshaft_inspect::attach::{self, Bound};
use camshaft_io::AsyncWrite;
use camshaft_io::net::{TcpListener, UnixListener};

use self::desk::Answer;
pub(crate) use self::desk::Desk;

/// So much of an answer is copied at a time.
const PIECE: usize = 64 << 10;

/// A socket that listens, with its file.
pub(crate) struct Door {
    /// Goes before the listener: a socket at which nobody listens any more is anybody's to remove.
    _file: Bound,
    listener: UnixListener,
}

/// Opens the socket.
pub(crate) fn socket() -> io::Result<Door> {
    let (listener, file) = attach::own_directory()?.listen()?;
    let listener = UnixListener::from_std(listener)?;
    Ok(Door {
        listener,
        _file: file,
    })
}

/// Opens the port of the page.
pub(crate) fn page(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let why = format!(
            "the page can't be served on {address}: that is no address of the loopback interface, and everybody could \
             read it; take 127.0.0.1 or [::1]"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let listener = std::net::TcpListener::bind(address).map_err(|error| {
        let what_to_do = match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => {
                "; port 0 takes one that is free"
            }
            _ => "",
        };
        let why = format!("the page can't be served on {address}: {error}{what_to_do}");
        io::Error::new(error.kind(), why)
    })?;
    TcpListener::from_std(listener)
}

/// Answers who comes to the socket.
pub(crate) async fn by_socket(door: Door, desk: Rc<Desk>) {
    let user = attach::user();
    crowd::attend(
        || door.listener.accept(),
        |(stream, _)| {
            let desk = Rc::clone(&desk);
            async move { socket::answer(&stream, user, &desk).await }
        },
    )
    .await;
}

/// Answers who comes to the port.
pub(crate) async fn by_page(listener: TcpListener, desk: Rc<Desk>) {
    let user = attach::user();
    crowd::attend(
        || listener.accept(),
        |(stream, from)| {
            let desk = Rc::clone(&desk);
            async move {
                if !peer::may_ask(from, stream.local_addr()?, user) {
                    return Ok(());
                }
                http::answer(&stream, &desk).await
            }
        },
    )
    .await;
}

/// Whether a user may know what a runtime of another does.
fn may_ask(peer: u32, user: u32) -> bool {
    peer == user || peer == 0
}

/// Writes an answer, of which many readers share the memory.
async fn write(mut to: impl AsyncWrite, answer: &Answer) -> io::Result<()> {
    let mut parts = answer.parts().map(str::as_bytes);
    let mut piece = Vec::new();
    loop {
        for part in &mut parts {
            let room = PIECE.saturating_sub(piece.len()).min(part.len());
            let (now, later) = part.split_at(room);
            piece.extend_from_slice(now);
            *part = later;
        }
        if piece.is_empty() {
            return Ok(());
        }
        let (result, buf) = to.write_all(piece).await;
        result?;
        piece = buf;
        piece.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::may_ask;

    #[test]
    fn a_user_and_root_may_ask() {
        assert!(may_ask(1000, 1000) && may_ask(0, 1000) && may_ask(0, 0));
        assert!(!may_ask(1001, 1000) && !may_ask(1000, 0) && !may_ask(u32::MAX, 1000));
    }
}
