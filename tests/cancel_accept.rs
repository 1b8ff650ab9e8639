//! Accepts dropped at every stage: no connection is lost, and no descriptor.

mod common;

use std::net::{SocketAddr, TcpStream as Client};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use camshaft::net::TcpListener;
use camshaft::task::yield_now;
use common::{
    alone, fds, half_std, listener, poll_and_drop, poll_once, raise_fd_limit, runtime,
    small_runtime, turn, until,
};

fn connect(address: SocketAddr) -> Client {
    Client::connect(address).expect("a listener")
}

/// Accepts once for each client, in their order.
async fn all_arrive(listener: &TcpListener, clients: Vec<Client>) {
    for client in clients {
        let (_stream, peer) = listener.accept().await.expect("a connection");
        assert_eq!(peer, client.local_addr().expect("bound"));
    }
    let next = poll_and_drop(listener.accept()).await;
    assert!(next.is_pending(), "there was one too many");
}

#[test]
fn an_accept_that_was_never_polled_does_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        drop(listener.accept());
        let clients = vec![connect(address)];
        drop(listener.accept());
        all_arrive(&listener, clients).await;
    });
}

#[test]
fn an_accept_dropped_before_it_was_submitted_loses_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let mut clients = vec![connect(address)];
        assert!(poll_and_drop(listener.accept()).await.is_pending());
        assert!(poll_and_drop(listener.accept()).await.is_pending());
        clients.push(connect(address));
        all_arrive(&listener, clients).await;
    });
}

#[test]
fn an_accept_dropped_in_flight_loses_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for before in [true, false] {
            let (listener, address) = listener().await;
            let mut clients = Vec::new();
            {
                let mut accepting = pin!(listener.accept());
                assert!(poll_once(accepting.as_mut()).await.is_pending());
                turn().await;
                if before {
                    clients.push(connect(address));
                }
            }
            if !before {
                clients.push(connect(address));
            }
            all_arrive(&listener, clients).await;
        }
    });
}

#[test]
fn an_accept_that_completed_unseen_loses_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let clients = vec![connect(address), connect(address)];
        {
            let mut accepting = pin!(listener.accept());
            assert!(poll_once(accepting.as_mut()).await.is_pending());
            turn().await;
        }
        all_arrive(&listener, clients).await;
    });
}

#[test]
fn several_dropped_accepts_lose_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let mut clients = Vec::new();
        for round in 0..100 {
            let mut accepting: Vec<_> = (0..3).map(|_| Box::pin(listener.accept())).collect();
            for accepting in &mut accepting {
                let _ = poll_once(accepting.as_mut()).await.map(|result| {
                    let (_, peer) = result.expect("a connection");
                    let client: Client = clients.remove(0);
                    assert_eq!(peer, client.local_addr().expect("bound"));
                });
            }
            if round % 3 == 0 {
                clients.push(connect(address));
            }
            if round % 2 == 0 {
                turn().await;
            }
            if round % 5 == 0 {
                clients.push(connect(address));
                yield_now().await;
            }
        }
        // Several accepts at the same time take connections in no given order.
        let mut expected: Vec<_> = clients.iter().map(|c| c.local_addr().unwrap()).collect();
        let mut found = Vec::new();
        for _ in 0..clients.len() {
            found.push(listener.accept().await.expect("a connection").1);
        }
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    });
}

/// The dropped accept completes while the next one is being submitted to a full queue: the connection that it brings is
/// the only one, and the next accept must get it although it is in the kernel already.
#[test]
fn the_next_accept_gets_the_connection_of_one_that_completed_behind_its_back() {
    let _alone = alone();
    small_runtime().block_on(async {
        let (listener, address) = listener().await;
        let idle: Vec<_> = (0..8).map(|_| half_std()).collect();
        let mut first = Box::pin(listener.accept());
        assert!(poll_once(first.as_mut()).await.is_pending());
        turn().await;
        let mut reads: Vec<_> = idle
            .iter()
            .map(|(_, server)| Box::pin(server.read(vec![0; 1].into_boxed_slice())))
            .collect();
        for read in &mut reads {
            assert!(poll_once(read.as_mut()).await.is_pending());
        }
        let clients = vec![connect(address)];
        drop(first);
        all_arrive(&listener, clients).await;
    });
}

/// Two accepts wait; the one that gets the connection is dropped before it could look. The other one must get it.
#[test]
fn an_accept_in_flight_gets_the_connection_of_one_that_was_dropped() {
    let _alone = alone();
    runtime().block_on(async {
        for dropped in [0, 1] {
            let (listener, address) = listener().await;
            let mut accepting: Vec<_> = (0..2).map(|_| Box::pin(listener.accept())).collect();
            for accepting in &mut accepting {
                assert!(poll_once(accepting.as_mut()).await.is_pending());
            }
            turn().await;
            let client = connect(address);
            turn().await; // one of them has it now, and nobody has looked
            drop(accepting.remove(dropped));
            let (_stream, peer) = accepting.remove(0).await.expect("a connection");
            assert_eq!(peer, client.local_addr().expect("bound"));
        }
    });
}

#[test]
fn an_accept_in_flight_at_teardown_loses_nothing() {
    let _alone = alone();
    for before in [true, false] {
        let first = runtime();
        let (listener, address) = first.block_on(listener());
        let listener = Rc::new(listener);
        first.spawn({
            let listener = listener.clone();
            async move { drop(listener.accept().await) }
        });
        first.block_on(yield_now());
        first.block_on(turn());
        let mut clients = Vec::new();
        if before {
            clients.push(connect(address));
        }
        drop(first);
        if !before {
            clients.push(connect(address));
        }
        runtime().block_on(all_arrive(&listener, clients));
    }
}

#[test]
fn a_listener_dropped_with_its_accept_frees_its_address_and_its_connections() {
    let _alone = alone();
    raise_fd_limit();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        for round in 0..50 {
            let (listener, address) = listener().await;
            let mut accepting = Box::pin(listener.accept());
            assert!(poll_once(accepting.as_mut()).await.is_pending());
            if round % 2 == 0 {
                turn().await;
            }
            let client = connect(address);
            if round % 3 == 0 {
                turn().await;
            }
            drop(accepting);
            drop(listener);
            assert!(Client::connect(address).is_err(), "nobody listens");
            drop(client);
        }
        until(|| fds() == before).await;
    });
}

#[test]
fn a_listener_with_stashed_connections_does_not_become_one_of_std() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let client = connect(address);
        {
            let mut accepting = pin!(listener.accept());
            assert!(poll_once(accepting.as_mut()).await.is_pending());
            turn().await;
        }
        let error = listener.into_std().expect_err("one is stashed");
        assert!(error.to_string().contains("accept them first"));
        let listener = error.inner;
        all_arrive(&listener, vec![client]).await;
        // The last accept was dropped in flight.
        let listener = listener.into_std().expect("nothing is stashed");
        let client = connect(address);
        let (_, peer) = listener.accept().expect("a connection");
        assert_eq!(peer, client.local_addr().expect("bound"));
    });
}

#[test]
fn an_accept_beside_a_dropped_one_is_woken() {
    let _alone = alone();
    runtime().block_on(async {
        let (listener, address) = listener().await;
        let listener = Rc::new(listener);
        let mut first = Box::pin(listener.accept());
        assert!(poll_once(first.as_mut()).await.is_pending());
        turn().await;
        let other = camshaft::spawn({
            let listener = listener.clone();
            async move { listener.accept().await.map(|(_, peer)| peer) }
        });
        yield_now().await;
        turn().await;
        drop(first);
        let client = connect(address);
        let peer = other.await.expect("no panic").expect("a connection");
        assert_eq!(peer, client.local_addr().expect("bound"));
        assert!(matches!(
            poll_and_drop(listener.accept()).await,
            Poll::Pending
        ));
    });
}
