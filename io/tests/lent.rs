//! Lent buffers: receives share them, and each guard keeps its bytes, whatever the order of polls, drops and receives. On
//! buffers that the kernel takes by the piece, and on those that it takes whole (a lower rung of the ladder stands for a
//! kernel that knows no other).

use std::future::Future;
use std::io::{Read, Write};
use std::net;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use camshaft_io::driver::{BufGuard, Config, Driver, Rung};
use camshaft_io::net::TcpStream;

/// A driver that takes buffers by the piece where the kernel can do it, and one that never does.
fn drivers() -> [Driver; 2] {
    [Rung::NoIndexArray, Rung::DeferredTaskWork].map(|best| {
        let config = Config {
            best,
            ..Config::default()
        };
        Driver::new(&config).expect("a ring on this or a lower rung")
    })
}

/// Polls with a waker that does nothing; the driver is turned by hand.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Turns the driver until the future is ready.
fn wait<F: Future>(driver: &Driver, future: F) -> F::Output {
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(output) = poll(&mut future) {
            return output;
        }
        turn(driver);
    }
}

fn turn(driver: &Driver) {
    driver.turn().expect("the ring works");
    driver.deliver();
}

fn pair() -> (net::TcpStream, TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let client = net::TcpStream::connect(address).expect("it listens");
    client.set_nodelay(true).expect("a socket");
    let server = listener.accept().expect("a connection").0;
    (client, TcpStream::from_std(server).expect("a socket"))
}

fn is_lent(guard: &BufGuard) -> bool {
    format!("{guard:?}").contains("lent: true")
}

/// Checks what a receive brought, and receives the rest if a buffer ended within it.
fn check(driver: &Driver, guard: BufGuard, server: &TcpStream, bytes: &[u8]) {
    assert_eq!(*guard, bytes[..guard.len()]);
    if guard.len() < bytes.len() {
        let rest = wait(driver, server.recv()).expect("bytes");
        assert_eq!(*rest, bytes[guard.len()..]);
    }
}

fn word(n: usize, round: usize) -> Vec<u8> {
    format!("{n} in round {round};")
        .repeat(1 + n % 7)
        .into_bytes()
}

/// A small generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % n
    }
}

#[test]
fn receives_polled_in_another_order_than_they_completed_get_their_own_bytes() {
    for driver in drivers() {
        let _entered = driver.enter();
        let mut pairs: Vec<_> = (0..20).map(|_| pair()).collect();
        for round in 0..50 {
            let (clients, servers): (Vec<_>, Vec<_>) =
                pairs.iter_mut().map(|(c, s)| (c, &*s)).unzip();
            let mut receives: Vec<_> = servers.iter().map(|s| Box::pin(s.recv())).collect();
            for receive in &mut receives {
                assert!(poll(receive).is_pending());
            }
            turn(&driver);
            for (n, client) in clients.into_iter().enumerate() {
                client.write_all(&word(n, round)).expect("sent");
            }
            turn(&driver);
            // The first to complete is polled last.
            for (n, receive) in receives.into_iter().enumerate().rev() {
                let guard = wait(&driver, receive).expect("bytes");
                check(&driver, guard, servers[n], &word(n, round));
            }
        }
        drop(pairs);
        driver.shutdown();
    }
}

#[test]
fn a_completion_whose_future_is_dropped_moves_the_next_ones_all_the_same() {
    for driver in drivers() {
        let _entered = driver.enter();
        let mut pairs: Vec<_> = (0..20).map(|_| pair()).collect();
        for round in 0..50 {
            for entered in [false, true] {
                let (clients, servers): (Vec<_>, Vec<_>) =
                    pairs.iter_mut().map(|(c, s)| (c, &*s)).unzip();
                let mut receives: Vec<_> = servers.iter().map(|s| Box::pin(s.recv())).collect();
                for receive in &mut receives {
                    assert!(poll(receive).is_pending());
                }
                for (n, client) in clients.into_iter().enumerate() {
                    client.write_all(&word(n, round)).expect("sent");
                }
                if entered {
                    turn(&driver);
                }
                let mut n = 0;
                receives.retain(|_| {
                    n += 1;
                    n % 3 == 0
                });
                drop(receives);
                // What the dropped ones brought comes first.
                for (n, server) in servers.iter().enumerate() {
                    let guard = wait(&driver, server.recv()).expect("bytes");
                    check(&driver, guard, server, &word(n, round));
                }
            }
        }
        drop(pairs);
        driver.shutdown();
    }
}

#[test]
fn kept_guards_keep_their_bytes() {
    for driver in drivers() {
        let _entered = driver.enter();
        let mut random = Random(7);
        let mut pairs: Vec<_> = (0..8).map(|_| pair()).collect();
        let mut kept: Vec<(BufGuard, Vec<u8>)> = Vec::new();
        let mut lent = 0;
        for round in 0..20_000 {
            let n = random.below(8);
            let (client, server) = &mut pairs[n];
            let mut bytes = word(n, round);
            if random.below(50) == 0 {
                bytes = bytes.repeat(200);
            }
            client.write_all(&bytes).expect("sent");
            let mut at = 0;
            while at < bytes.len() {
                let guard = wait(&driver, server.recv()).expect("bytes");
                let end = at + guard.len();
                lent += usize::from(is_lent(&guard));
                kept.push((guard, bytes[at..end].to_vec()));
                at = end;
            }
            while kept.len() > 3000 || (!kept.is_empty() && random.below(2) == 0) {
                let (guard, bytes) = kept.swap_remove(random.below(kept.len()));
                assert_eq!(*guard, *bytes);
            }
        }
        assert!(lent > 1000);
        for (guard, bytes) in &kept {
            assert_eq!(**guard, **bytes);
        }
        // Some outlive the driver.
        kept.truncate(10);
        driver.shutdown();
        drop(driver);
        for (guard, bytes) in &kept {
            assert_eq!(**guard, **bytes);
        }
    }
}

#[test]
fn bulk_data_arrives_in_order() {
    for driver in drivers() {
        let _entered = driver.enter();
        let (client, server) = pair();
        let total = 32 << 20;
        let byte = |at: usize| u8::try_from(at % 251).expect("below 251");
        let sender = std::thread::spawn(move || {
            let bytes: Vec<u8> = (0..total).map(byte).collect();
            let mut client = client;
            client.write_all(&bytes).expect("sent");
            client.shutdown(net::Shutdown::Write).expect("connected");
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).expect("an end");
        });
        let mut at = 0;
        let mut kept = std::collections::VecDeque::new();
        loop {
            let guard = wait(&driver, server.recv()).expect("bytes");
            if guard.is_empty() {
                break;
            }
            kept.push_back((at, guard));
            at = kept.back().map_or(at, |(at, guard)| at + guard.len());
            if kept.len() > 20 {
                let (at, guard) = kept.pop_front().expect("some");
                assert!((at..).zip(&*guard).all(|(at, found)| *found == byte(at)));
            }
        }
        assert_eq!(at, total);
        drop(server);
        sender.join().expect("no panic");
        driver.shutdown();
    }
}

/// Keeps guards until a receive gets a private buffer; returns how many bytes were lent.
fn exhaust(driver: &Driver, client: &mut net::TcpStream, server: &TcpStream) -> usize {
    let mut kept = Vec::new();
    let mut sent = 0;
    let mut received = 0;
    let mut lent = 0;
    loop {
        if sent == received {
            client.write_all(&[1; 16 * 1024]).expect("sent");
            sent += 16 * 1024;
        }
        let guard = wait(driver, server.recv()).expect("never waits for guards");
        received += guard.len();
        if !is_lent(&guard) {
            break;
        }
        lent += guard.len();
        kept.push(guard);
    }
    drop(kept);
    while received < sent {
        received += wait(driver, server.recv()).expect("bytes").len();
    }
    lent
}

#[test]
fn an_exhausted_ring_is_made_up_for_and_recovers() {
    for driver in drivers() {
        let _entered = driver.enter();
        let (mut client, server) = pair();
        let first = exhaust(&driver, &mut client, &server);
        for _ in 0..3 {
            let next = exhaust(&driver, &mut client, &server);
            // What is not lent is what was left of the buffer that the kernel had begun.
            assert!(next + 64 * 1024 > first, "{next} after {first}");
        }
        client.write_all(b"again").expect("sent");
        let guard = wait(&driver, server.recv()).expect("bytes");
        assert!(is_lent(&guard) && *guard == *b"again");
        driver.shutdown();
    }
}

/// A connection ends, or is reset, with and without bytes before: the buffer that the kernel had picked is not lost.
#[test]
fn ends_and_resets_take_no_buffer() {
    for driver in drivers() {
        let _entered = driver.enter();
        let (mut client, server) = pair();
        let whole = exhaust(&driver, &mut client, &server);
        for round in 0..2000 {
            let (mut other, ending) = pair();
            if round % 3 == 0 {
                other.write_all(b"last words").expect("sent");
            }
            let mut receiving = Box::pin(ending.recv());
            let early = poll(&mut receiving);
            assert!(early.is_pending());
            if round % 2 == 0 {
                turn(&driver);
            }
            if round % 5 == 0 {
                let other = TcpStream::from_std(other).expect("a socket");
                other
                    .set_linger(Some(std::time::Duration::ZERO))
                    .expect("a socket");
                drop(other);
            } else {
                drop(other);
            }
            if round % 7 == 0 {
                drop(receiving);
            } else {
                drop(wait(&driver, receiving));
            }
        }
        let left = exhaust(&driver, &mut client, &server);
        assert!(left + 64 * 1024 > whole, "{left} of {whole}");
        driver.shutdown();
    }
}

/// The end comes after a completion was reaped and before it was delivered.
#[test]
fn the_end_delivers_what_was_reaped() {
    for driver in drivers() {
        let entered = driver.enter();
        let (mut client, server) = pair();
        let mut receiving = Box::pin(server.recv());
        assert!(poll(&mut receiving).is_pending());
        driver.turn().expect("the ring works");
        client.write_all(b"word").expect("sent");
        drop(receiving);
        driver.turn().expect("the ring works");
        driver.shutdown();
        drop(entered);

        let next = Driver::new(&Config::default()).expect("a ring");
        let _entered = next.enter();
        drop(client);
        assert_eq!(*wait(&next, server.recv()).expect("bytes"), *b"word");
        next.shutdown();
    }
}
