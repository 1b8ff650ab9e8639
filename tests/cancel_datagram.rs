//! Receives of whole messages, of every kind and on every kind of socket, dropped at every stage: no message is lost, none
//! comes twice, none out of order, and each keeps its sender.

mod common;

use std::rc::Rc;

use common::sockets::{Messages, Way};
use common::{alone, fds, poll_once, runtime, small_runtime, turn, until};

/// What was sent, for the comparison.
fn list(messages: &[&str]) -> Vec<Vec<u8>> {
    messages.iter().map(|it| it.as_bytes().to_vec()).collect()
}

#[test]
fn a_receive_that_was_never_polled_does_nothing() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        for socket in Messages::all() {
            for way in Way::ALL {
                let before = runtime.metrics().ops_submitted;
                drop(socket.begin(way));
                assert_eq!(
                    runtime.metrics().ops_submitted,
                    before,
                    "{socket:?} {way:?}"
                );
                socket.send(b"abc");
                drop(socket.begin(way));
                assert_eq!(socket.rest().await, list(&["abc"]));
            }
        }
    });
}

#[test]
fn a_receive_dropped_before_it_was_submitted_loses_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for socket in Messages::all() {
            for way in Way::ALL {
                let mut receiving = socket.begin(way);
                let ready = poll_once(receiving.as_mut()).await.is_ready();
                assert!(!ready, "{socket:?} {way:?}");
                socket.send(b"one");
                drop(receiving);
                socket.send(b"two");
                assert_eq!(
                    socket.rest().await,
                    list(&["one", "two"]),
                    "{socket:?} {way:?}"
                );
            }
        }
    });
}

#[test]
fn a_receive_dropped_in_flight_loses_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for socket in Messages::all() {
            for way in Way::ALL {
                for late in [false, true] {
                    let mut receiving = socket.begin(way);
                    assert!(poll_once(receiving.as_mut()).await.is_pending());
                    turn().await;
                    if !late {
                        socket.send(b"before");
                    }
                    drop(receiving);
                    if late {
                        turn().await;
                        socket.send(b"before");
                    }
                    socket.send(b"after");
                    assert_eq!(
                        socket.rest().await,
                        list(&["before", "after"]),
                        "{socket:?} {way:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn a_receive_that_completed_unseen_loses_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for socket in Messages::all() {
            for way in Way::ALL {
                let mut receiving = socket.begin(way);
                assert!(poll_once(receiving.as_mut()).await.is_pending());
                socket.send(b"first");
                socket.send(b"second");
                turn().await;
                drop(receiving);
                // The next of any kind sees it; those that take nothing leave it.
                for looking in [Way::Readable, Way::Peek, Way::PeekFrom] {
                    let seen = socket.begin(looking).await.expect("a message");
                    assert!(
                        looking == Way::Readable || seen == b"first",
                        "{socket:?} {way:?}"
                    );
                }
                assert_eq!(
                    socket.begin(way).await.expect("ready").len(),
                    usize::from(way != Way::Readable) * 5
                );
                let expected = if way.takes() {
                    &["second"][..]
                } else {
                    &["first", "second"]
                };
                assert_eq!(socket.rest().await, list(expected), "{socket:?} {way:?}");
            }
        }
    });
}

#[test]
fn what_is_stashed_is_readable() {
    let _alone = alone();
    runtime().block_on(async {
        for socket in Messages::all() {
            let mut receiving = socket.begin(Way::Recv);
            assert!(poll_once(receiving.as_mut()).await.is_pending());
            socket.send(b"only");
            turn().await;
            drop(receiving);
            // The socket itself is empty now.
            socket.begin(Way::Readable).await.expect("readable");
            assert_eq!(socket.rest().await, list(&["only"]), "{socket:?}");
        }
    });
}

#[test]
fn an_empty_message_survives_the_stash() {
    let _alone = alone();
    runtime().block_on(async {
        for socket in Messages::all() {
            for way in Way::ALL {
                let mut receiving = socket.begin(way);
                assert!(poll_once(receiving.as_mut()).await.is_pending());
                socket.send(b"");
                turn().await;
                drop(receiving);
                socket.send(b"behind");
                assert_eq!(
                    socket.rest().await,
                    list(&["", "behind"]),
                    "{socket:?} {way:?}"
                );
            }
        }
    });
}

#[test]
fn two_receives_dropped_one_after_the_other_lose_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        for socket in Messages::all() {
            for first in Way::ALL {
                for second in Way::ALL {
                    for entered in [false, true] {
                        let mut a = socket.begin(first);
                        let mut b = socket.begin(second);
                        assert!(poll_once(a.as_mut()).await.is_pending());
                        assert!(poll_once(b.as_mut()).await.is_pending());
                        if entered {
                            turn().await;
                        }
                        socket.send(b"one");
                        drop(a);
                        turn().await;
                        socket.send(b"two");
                        drop(b);
                        socket.send(b"three");
                        assert_eq!(
                            socket.rest().await,
                            list(&["one", "two", "three"]),
                            "{socket:?} {first:?} {second:?} {entered}"
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn a_receive_in_flight_at_teardown_loses_nothing() {
    let _alone = alone();
    for way in Way::ALL {
        for sent_before in [false, true] {
            for socket in Messages::all() {
                let socket = Rc::new(socket);
                let first = runtime();
                first.spawn({
                    let socket = socket.clone();
                    async move {
                        drop(socket.begin(way).await);
                        std::future::pending::<()>().await;
                    }
                });
                first.block_on(turn());
                if sent_before {
                    socket.send(b"before the end");
                }
                drop(first);
                socket.send(b"after the end");
                let mut expected = list(&["before the end", "after the end"]);
                if !sent_before {
                    expected.remove(0);
                }
                assert_eq!(
                    runtime().block_on(socket.rest()),
                    expected,
                    "{socket:?} {way:?}"
                );
            }
        }
    }
}

#[test]
fn a_receive_that_outlives_its_runtime_loses_nothing() {
    let _alone = alone();
    for way in Way::ALL {
        for socket in Messages::all() {
            let first = runtime();
            let mut receiving = socket.begin(way);
            first.block_on(async {
                assert!(poll_once(receiving.as_mut()).await.is_pending());
                turn().await;
            });
            socket.send(b"at the end");
            drop(first);
            drop(receiving);
            socket.send(b"and after");
            let rest = runtime().block_on(socket.rest());
            assert_eq!(
                rest,
                list(&["at the end", "and after"]),
                "{socket:?} {way:?}"
            );
        }
    }
}

#[test]
fn a_socket_dropped_with_its_receive_is_closed_at_once() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        for way in Way::ALL {
            for entered in [false, true] {
                for socket in Messages::all() {
                    let before = fds();
                    let mut receiving = socket.begin(way);
                    assert!(poll_once(receiving.as_mut()).await.is_pending());
                    if entered {
                        turn().await;
                    }
                    socket.send(b"lost with the socket");
                    drop(receiving);
                    drop(socket);
                    until(|| fds() == before - 2).await;
                }
            }
        }
    });
}

#[test]
fn with_a_tiny_ring_too() {
    let _alone = alone();
    small_runtime().block_on(async {
        for socket in Messages::all() {
            for round in 0..50_u32 {
                for way in Way::ALL {
                    let _ = poll_once(socket.begin(way).as_mut()).await;
                }
                socket.send(&round.to_be_bytes());
                let message = socket.begin(Way::RecvFrom).await.expect("a message");
                assert_eq!(message, round.to_be_bytes());
            }
        }
    });
}
