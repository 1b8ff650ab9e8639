//! Connections as a stream: all arrive, also those that were accepted before anybody asked, and a dropped stream loses none.

mod common;

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpStream as Client};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::Poll;

use camshaft::net::{Incoming, TcpListener, TcpStream};
use camshaft::runtime::Backend;
use common::sockets::{next, soon};
use common::{
    alone, fds, isolated, limit_fds, listener, poll_once, raise_fd_limit, runtime, small_runtime,
    turn, until,
};

fn connect(address: SocketAddr) -> Client {
    Client::connect(address).expect("a listener")
}

fn name(client: &Client) -> SocketAddr {
    client.local_addr().expect("bound")
}

/// Who is at the other end of a connection that a stream gave.
fn peer(item: Option<io::Result<TcpStream>>) -> SocketAddr {
    let stream = item.expect("it never ends").expect("a connection");
    stream.peer_addr().expect("connected")
}

/// Accepts once for each client, in their order, and no more.
async fn all_arrive(listener: &TcpListener, clients: &[Client]) {
    for client in clients {
        let (_stream, peer) = listener.accept().await.expect("a connection");
        assert_eq!(peer, name(client));
    }
    assert!(
        soon(&mut listener.incoming()).await.is_pending(),
        "there was one too many"
    );
}

#[test]
fn hundreds_of_connections_arrive_in_order() {
    let _alone = alone();
    raise_fd_limit();
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            let (listener, address) = listener().await;
            let mut incoming = listener.incoming();
            for _ in 0..5 {
                let clients: Vec<_> = (0..100).map(|_| connect(address)).collect();
                for client in &clients {
                    assert_eq!(peer(next(&mut incoming).await), name(client));
                }
            }
        });
    }
}

#[test]
fn the_ring_accepts_many_with_one_request() {
    let _alone = alone();
    let runtime = runtime();
    if runtime.backend() != Backend::IoUring || std::env::var_os("CAMSHAFT_BEST_RUNG").is_some() {
        return;
    }
    runtime.block_on(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        assert!(soon(&mut incoming).await.is_pending());
        let before = runtime.metrics().ops_submitted;
        let clients: Vec<_> = (0..100).map(|_| connect(address)).collect();
        for client in &clients {
            assert_eq!(peer(next(&mut incoming).await), name(client));
        }
        assert!(runtime.metrics().ops_submitted - before <= 1);
    });
}

/// When a stream is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Unpolled,
    Queued,
    Running,
    Prefetched,
    Partly,
}

#[test]
fn a_stream_dropped_at_any_stage_loses_nothing() {
    let _alone = alone();
    let stages = [
        Stage::Unpolled,
        Stage::Queued,
        Stage::Running,
        Stage::Prefetched,
        Stage::Partly,
    ];
    for runtime in [runtime(), small_runtime()] {
        runtime.block_on(async {
            turn().await;
            let before = fds();
            for stage in stages {
                let (listener, address) = listener().await;
                let mut incoming = listener.incoming();
                if stage != Stage::Unpolled {
                    assert!(
                        poll_once(std::pin::pin!(next(&mut incoming)))
                            .await
                            .is_pending()
                    );
                }
                if !matches!(stage, Stage::Unpolled | Stage::Queued) {
                    turn().await;
                }
                let mut clients: Vec<_> = (0..5).map(|_| connect(address)).collect();
                if matches!(stage, Stage::Prefetched | Stage::Partly) {
                    turn().await;
                }
                if stage == Stage::Partly {
                    assert_eq!(peer(next(&mut incoming).await), name(&clients.remove(0)));
                }
                drop(incoming);
                clients.extend((0..5).map(|_| connect(address)));
                all_arrive(&listener, &clients).await;
            }
            until(|| fds() == before).await;
        });
    }
}

#[test]
fn what_nobody_takes_is_bounded_and_kept() {
    let _alone = alone();
    raise_fd_limit();
    runtime().block_on(async {
        turn().await;
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        assert!(soon(&mut incoming).await.is_pending());
        let before = fds();
        let mut clients = Vec::new();
        for _ in 0..40 {
            clients.extend((0..10).map(|_| connect(address)));
            turn().await;
        }
        let accepted = fds() - before - clients.len();
        assert!(accepted <= 128 + 20, "{accepted} are accepted");
        // It goes on where it stopped.
        for client in clients.drain(..200) {
            assert_eq!(peer(next(&mut incoming).await), name(&client));
        }
        drop(incoming);
        all_arrive(&listener, &clients).await;
    });
}

#[test]
fn accepts_beside_a_stream_have_their_turn() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        let mut expected = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for _ in 0..20 {
            assert!(soon(&mut incoming).await.is_pending());
            let mut accepting = Box::pin(listener.accept());
            let _ = poll_once(accepting.as_mut())
                .await
                .map(|it| seen.insert(it.unwrap().1));
            let clients = [connect(address), connect(address)];
            expected.extend(clients.iter().map(name));
            seen.insert(peer(next(&mut incoming).await));
            seen.insert(accepting.await.unwrap().1);
        }
        assert_eq!(seen, expected);
    });
}

#[test]
fn an_accept_beside_a_stream_that_nobody_polls_has_its_turn() {
    let _alone = alone();
    runtime().block_on(async {
        for accepted in [false, true] {
            let (listener, address) = listener().await;
            let mut incoming = listener.incoming();
            let first = connect(address);
            assert_eq!(peer(next(&mut incoming).await), name(&first));
            let mut clients = vec![connect(address), connect(address)];
            if accepted {
                turn().await;
            }
            let (_stream, second) = listener.accept().await.expect("a connection");
            assert_eq!(second, name(&clients.remove(0)));
            // It goes on, and so does the other.
            clients.push(connect(address));
            for client in &clients {
                assert_eq!(peer(next(&mut incoming).await), name(client));
            }
            let last = connect(address);
            all_arrive(&listener, &[last]).await;
        }
    });
}

#[test]
fn an_accept_that_waits_beside_an_idle_stream_gets_what_comes_later() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        let first = connect(address);
        assert_eq!(peer(next(&mut incoming).await), name(&first));
        let mut accepting = Box::pin(listener.accept());
        assert!(poll_once(accepting.as_mut()).await.is_pending());
        turn().await;
        let second = connect(address);
        assert_eq!(accepting.await.unwrap().1, name(&second));
        let third = connect(address);
        assert_eq!(peer(next(&mut incoming).await), name(&third));
    });
}

#[test]
fn without_descriptors_it_reports_and_goes_on() {
    let _alone = alone();
    isolated("without_descriptors_it_reports_and_goes_on", || {
        let runtime = runtime();
        runtime.block_on(async {
            let (listener, address) = listener().await;
            let mut incoming = listener.incoming();
            assert!(soon(&mut incoming).await.is_pending());
            let client = Client::connect(address);
            let first = peer(next(&mut incoming).await);
            assert_eq!(first, name(&client.unwrap()));
            let waiting = connect(address);
            let stashed = soon(&mut incoming).await.map(peer);
            assert!(stashed == Poll::Ready(name(&waiting)));
            // One that runs already keeps the limit that there was.
            drop(incoming);
            turn().await;
            // Fill up the numbers below the limit.
            let mut held = vec![std::fs::File::open("/dev/null").unwrap()];
            while held[held.len() - 1].as_raw_fd() + 1 < i32::try_from(fds()).unwrap() {
                held.push(std::fs::File::open("/dev/null").unwrap());
            }
            let late =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let former = limit_fds(fds() as u64);
            let mut incoming = listener.incoming();
            late.connect(&address.into()).unwrap();
            let before = runtime.metrics();
            for _ in 0..5 {
                let error = next(&mut incoming).await.unwrap().unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            }
            // Each try but the first waits out a pause before: nothing spins.
            let after = runtime.metrics();
            assert_eq!(after.ops_submitted - before.ops_submitted, 5 + 4);
            assert!(after.enters - before.enters <= 60);
            limit_fds(former);
            let late = Client::from(late);
            let mut found = next(&mut incoming).await.unwrap();
            while found.is_err() {
                found = next(&mut incoming).await.unwrap();
            }
            assert_eq!(peer(Some(found)), name(&late));
            let more = connect(address);
            assert_eq!(peer(next(&mut incoming).await), name(&more));
        });
    });
}

#[test]
fn teardown_loses_nothing() {
    let _alone = alone();
    for prefetched in [false, true] {
        let first = runtime();
        let (listener, address) = first.block_on(listener());
        let listener = Rc::new(listener);
        first.spawn({
            let listener = listener.clone();
            async move {
                let mut incoming = listener.incoming();
                drop(poll_once(std::pin::pin!(next(&mut incoming))).await);
                std::future::pending::<()>().await;
            }
        });
        first.block_on(turn());
        let mut clients = vec![connect(address), connect(address)];
        if prefetched {
            first.block_on(turn());
        }
        drop(first);
        clients.push(connect(address));
        runtime().block_on(all_arrive(&listener, &clients));
    }
}

#[test]
fn a_stream_outlives_its_runtime() {
    let _alone = alone();
    let (listener, address) = runtime().block_on(listener());
    let mut incoming: Incoming<'_, TcpStream> = listener.incoming();
    let mut clients = Vec::new();
    for round in 0..5 {
        let runtime = runtime();
        runtime.block_on(async {
            if round % 2 == 0 {
                clients.push(connect(address));
            }
            for client in clients.drain(..) {
                assert_eq!(peer(next(&mut incoming).await), name(&client));
            }
            assert!(soon(&mut incoming).await.is_pending());
        });
        clients.push(connect(address));
        clients.push(connect(address));
    }
}

#[test]
fn a_dropped_listener_frees_its_address() {
    let _alone = alone();
    runtime().block_on(async {
        for _ in 0..20 {
            let (listener, address) = listener().await;
            let mut incoming = listener.incoming();
            assert!(soon(&mut incoming).await.is_pending());
            let _client = connect(address);
            turn().await;
            drop(incoming);
            drop(listener);
            assert!(Client::connect(address).is_err(), "nobody listens");
        }
    });
}

#[test]
fn a_listener_with_prefetched_connections_does_not_become_one_of_std() {
    let _alone = alone();
    let runtime = runtime();
    if runtime.backend() != Backend::IoUring {
        return;
    }
    runtime.block_on(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        assert!(soon(&mut incoming).await.is_pending());
        let clients = [connect(address), connect(address)];
        turn().await;
        drop(incoming);
        let listener = listener.into_std().expect_err("some are stashed").inner;
        all_arrive(&listener, &clients).await;
        listener.into_std().expect("nothing is stashed");
    });
}

#[test]
fn a_forgotten_stream_that_nobody_waits_for_makes_way() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let first = connect(address);
        let mut incoming = listener.incoming();
        assert_eq!(peer(next(&mut incoming).await), name(&first));
        std::mem::forget(incoming);
        let clients = [connect(address), connect(address)];
        // Hangs if the stream keeps its turn.
        all_arrive(&listener, &clients).await;
    });
}
