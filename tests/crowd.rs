//! Ten thousand connections at once, of which two thousand are reset at random while signals arrive: nobody is lost, nothing
//! hangs, nothing spins.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as Peer};
use std::rc::Rc;
use std::time::Duration;

use camshaft::net::TcpStream;
use camshaft::task::JoinSet;
use common::{Random, alone, fds, in_child, is_child, listener, raise_fd_limit, runtime};
use socket2::SockRef;

const CROWD: usize = 10_000;
const RESETS: usize = 2_000;
const SIGNALS: usize = 500;
const TEST: &str = "a_crowd_is_held_and_a_fifth_of_it_reset";

/// What became of the connections.
#[derive(Default)]
struct Count {
    echoed: Cell<usize>,
    reset: Cell<usize>,
    other: RefCell<Vec<String>>,
}

/// Has `SIGUSR1` interrupt system calls, and do nothing else.
fn expect_signals() {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: an all-zero `sigaction` is valid: no flags, so calls are not restarted.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the kernel reads one `sigaction`; the handler does nothing.
    let set = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

fn signal_parent() {
    // SAFETY: no memory is passed.
    let parent = unsafe { libc::getppid() };
    // SAFETY: no memory is passed. The parent has a handler.
    unsafe { libc::kill(parent, libc::SIGUSR1) };
}

/// The other end: a process of its own, because both ends together have more descriptors than a process may.
fn crowd(address: SocketAddr, seed: u64) -> io::Result<()> {
    raise_fd_limit();
    let mut random = Random::new(seed);
    let mut peers = Vec::new();
    for _ in 0..CROWD {
        peers.push(Some(Peer::connect(address)?));
    }
    // The last to be accepted says that all are held.
    let mut word = [0; 8];
    if let Some(last) = &mut peers[CROWD - 1] {
        last.read_exact(&mut word[..1])?;
    }
    let mut resets = 0;
    while resets < RESETS {
        let chosen = random.below(CROWD - 1);
        if let Some(peer) = peers[chosen].take() {
            SockRef::from(&peer).set_linger(Some(Duration::ZERO))?;
            if random.one_in(2) {
                // Some are reset with bytes on the way.
                (&peer).write_all(b"torn")?;
            }
            drop(peer);
            resets += 1;
            if resets % (RESETS / SIGNALS) == 0 {
                signal_parent();
            }
        }
        let other = random.below(CROWD);
        if let Some(peer) = &mut peers[other] {
            peer.write_all(&other.to_be_bytes())?;
            peer.read_exact(&mut word)?;
            assert_eq!(usize::from_be_bytes(word), other);
        }
    }
    for (n, peer) in peers.iter_mut().enumerate() {
        if let Some(peer) = peer {
            peer.write_all(&n.to_be_bytes())?;
            peer.read_exact(&mut word)?;
            assert_eq!(usize::from_be_bytes(word), n);
        }
    }
    Ok(())
}

async fn serve(stream: TcpStream, count: Rc<Count>) {
    let mut echoed = false;
    loop {
        let received = match stream.recv().await {
            Ok(received) if received.is_empty() => break,
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                count.reset.set(count.reset.get() + 1);
                return;
            }
            Err(error) => return count.other.borrow_mut().push(error.to_string()),
        };
        if &*received == b"torn" {
            continue; // the reset is on its way
        }
        if stream.write_all(received).await.0.is_err() {
            count.reset.set(count.reset.get() + 1);
            return;
        }
        echoed = true;
    }
    if echoed {
        count.echoed.set(count.echoed.get() + 1);
    }
}

#[test]
fn a_crowd_is_held_and_a_fifth_of_it_reset() {
    let address = std::env::var("CAMSHAFT_TEST_ADDRESS");
    if is_child() {
        let address = address.expect("set by the parent");
        let seed = 20_000;
        return crowd(address.parse().expect("an address"), seed).expect("the crowd is served");
    }
    let _alone = alone();
    raise_fd_limit();
    expect_signals();
    let runtime = runtime();
    let count = Rc::new(Count::default());
    let before = fds();
    runtime.block_on(async {
        let (listener, address) = listener().await;
        let address = address.to_string();
        let crowd = camshaft::task::spawn_blocking(move || {
            in_child(TEST, &[("CAMSHAFT_TEST_ADDRESS", &address)])
        });
        let mut held = JoinSet::new();
        for n in 0..CROWD {
            let (stream, _) = listener.accept().await.expect("a connection");
            if n == CROWD - 1 {
                stream.write_all(b"!").await.0.expect("sent");
            }
            held.spawn(serve(stream, count.clone()));
        }
        let output = crowd.await.expect("no panic");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        while let Some(served) = held.join_next().await {
            served.expect("no panic");
        }
    });
    assert_eq!(*count.other.borrow(), Vec::<String>::new());
    assert_eq!(count.reset.get(), RESETS);
    assert_eq!(count.echoed.get(), CROWD - RESETS);
    assert_eq!(fds(), before);
    let metrics = runtime.metrics();
    assert_eq!(metrics.ops_submitted, metrics.ops_completed);
    // Each connection takes a handful of operations, and no operation more than a few enters: nothing spins.
    let operations = u64::try_from(CROWD * 8).expect("fits");
    assert!(metrics.ops_submitted < operations, "{metrics:?}");
    assert!(metrics.enters < 4 * metrics.ops_submitted, "{metrics:?}");
}
