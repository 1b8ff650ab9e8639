//! The stash: what dropped reads brought serves any next read, in order, and before the end of the stream.

mod common;

use std::io::{ErrorKind, Write};
use std::time::Duration;

use camshaft::net::TcpStream;
use common::{alone, half_std, poll_and_drop, poll_once, read_exactly, read_rest, runtime, turn};

/// Has a dropped read bring these bytes: a stream with exactly them in its stash.
async fn stashed(bytes: &[u8]) -> (std::net::TcpStream, TcpStream) {
    let (client, server) = half_std();
    stash_more(&client, &server, bytes).await;
    (client, server)
}

/// Adds to the stash. The stash must be empty, or the read would be served.
async fn stash_more(mut client: &std::net::TcpStream, server: &TcpStream, bytes: &[u8]) {
    let mut reading = Box::pin(server.read(Vec::with_capacity(64)));
    assert!(poll_once(reading.as_mut()).await.is_pending());
    client.write_all(bytes).expect("sent");
    turn().await;
}

#[test]
fn a_read_is_served_in_pieces() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = stashed(b"abcdefghi").await;
        drop(client);
        for expected in ["abcd", "efgh", "i", ""] {
            let (result, buf) = server.read(Vec::with_capacity(4)).await;
            assert_eq!(
                (result.unwrap(), &*buf),
                (expected.len(), expected.as_bytes())
            );
        }
    });
}

#[test]
fn a_box_is_overwritten_and_a_vector_appended_to() {
    let _alone = alone();
    runtime().block_on(async {
        let (_client, server) = stashed(b"abcd").await;
        let (result, buf) = server.read(Box::new(*b"......")).await;
        assert_eq!((result.unwrap(), &*buf), (4, b"abcd.."));
        let (_client, server) = stashed(b"abcd").await;
        let mut buf = Vec::with_capacity(64);
        buf.extend_from_slice(b"pre");
        let (result, buf) = server.read(buf).await;
        assert_eq!((result.unwrap(), &*buf), (4, &b"preabcd"[..]));
    });
}

#[test]
fn an_exact_read_takes_the_stash_and_then_the_socket() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = stashed(b"abc").await;
        client.write_all(b"defgh").expect("sent");
        assert_eq!(read_exactly(&server, 2).await, b"ab");
        assert_eq!(read_exactly(&server, 4).await, b"cdef");
        drop(client);
        let (result, buf) = server.read_exact(Vec::with_capacity(9)).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(buf, b"gh");
    });
}

#[test]
fn reading_to_the_end_takes_both() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = stashed(b"stashed ").await;
        client.write_all(b"and not").expect("sent");
        drop(client);
        let (result, buf) = server.read_to_end(b"> ".to_vec()).await;
        assert_eq!((result.unwrap(), &*buf), (15, &b"> stashed and not"[..]));
    });
}

#[test]
fn a_vectored_read_spreads_it() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = stashed(b"abcdefg").await;
        drop(client);
        let bufs = || vec![Vec::with_capacity(2), Vec::new(), Vec::with_capacity(3)];
        let (result, bufs_back) = server.read_vectored(bufs()).await;
        assert_eq!(result.unwrap(), 5);
        assert_eq!(bufs_back, [&b"ab"[..], b"", b"cde"]);
        let (result, bufs_back) = server.read_vectored(bufs()).await;
        assert_eq!(result.unwrap(), 2);
        assert_eq!(bufs_back, [&b"fg"[..], b"", b""]);
        assert_eq!(server.read_vectored(bufs()).await.0.unwrap(), 0);
    });
}

#[test]
fn a_peek_leaves_it() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = stashed(b"abc").await;
        client.write_all(b"def").expect("sent");
        for _ in 0..3 {
            let (result, buf) = server.peek(Vec::with_capacity(2)).await;
            assert_eq!((result.unwrap(), &*buf), (2, &b"ab"[..]));
        }
        drop(client);
        assert_eq!(read_rest(&server).await, b"abcdef");
        let (result, _) = server.peek(Vec::with_capacity(2)).await;
        assert_eq!(result.unwrap(), 0);
    });
}

#[test]
fn a_lent_receive_gets_what_is_left() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = stashed(b"abcdef").await;
        drop(client);
        assert_eq!(read_exactly(&server, 2).await, b"ab");
        assert_eq!(&*server.recv().await.unwrap(), b"cdef");
        assert!(server.recv().await.unwrap().is_empty());
    });
}

#[test]
fn a_stashed_lent_buffer_serves_the_other_reads() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        {
            let mut receiving = Box::pin(server.recv());
            assert!(poll_once(receiving.as_mut()).await.is_pending());
            client.write_all(b"abcdef").expect("sent");
            turn().await;
        }
        let (result, buf) = server.peek(Vec::with_capacity(3)).await;
        assert_eq!((result.unwrap(), &*buf), (3, &b"abc"[..]));
        assert_eq!(read_exactly(&server, 1).await, b"a");
        assert_eq!(&*server.recv().await.unwrap(), b"bcdef");
    });
}

#[test]
fn what_an_exact_read_took_is_given_back() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = stashed(b"abc").await;
        // From the stash, and in flight for the rest; twice, entered and not.
        for entered in [true, false] {
            let mut reading = Box::pin(server.read_exact(Vec::with_capacity(8)));
            assert!(poll_once(reading.as_mut()).await.is_pending());
            if entered {
                turn().await;
            }
        }
        // In three steps: stash, socket, and once more waiting.
        let mut reading = Box::pin(server.read_exact(vec![0; 100].into_boxed_slice()));
        for chunk in [&b"def"[..], b"ghi", b"jkl"] {
            assert!(poll_once(reading.as_mut()).await.is_pending());
            turn().await;
            (&client).write_all(chunk).expect("sent");
            turn().await;
        }
        drop(reading);
        drop(client);
        assert_eq!(read_rest(&server).await, b"abcdefghijkl");
    });
}

/// One that waits until a dropped read has settled, with bytes of the stash in its buffer already.
#[test]
fn what_a_waiting_read_took_is_given_back() {
    let _alone = alone();
    runtime().block_on(async {
        for to_end in [false, true] {
            let (client, server) = half_std();
            let mut first = Box::pin(server.read(Vec::with_capacity(3)));
            let mut second = Box::pin(server.read(Vec::with_capacity(3)));
            assert!(poll_once(first.as_mut()).await.is_pending());
            assert!(poll_once(second.as_mut()).await.is_pending());
            turn().await;
            (&client).write_all(b"abc").expect("sent");
            turn().await; // one of them has it
            drop(first);
            drop(second);
            if to_end {
                let _ = poll_and_drop(server.read_to_end(b"prefix".to_vec())).await;
            } else {
                let _ = poll_and_drop(server.read_exact(Vec::with_capacity(99))).await;
            }
            (&client).write_all(b"def").expect("sent");
            drop(client);
            assert_eq!(read_rest(&server).await, b"abcdef");
        }
    });
}

#[test]
fn what_reading_to_the_end_took_is_given_back_without_its_prefix() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = stashed(b"abc").await;
        let mut reading = Box::pin(server.read_to_end(b"prefix".to_vec()));
        for chunk in [&b"def"[..], b"ghi"] {
            assert!(poll_once(reading.as_mut()).await.is_pending());
            client.write_all(chunk).expect("sent");
            turn().await;
        }
        assert!(poll_once(reading.as_mut()).await.is_pending());
        drop(reading);
        drop(client);
        assert_eq!(read_exactly(&server, 4).await, b"abcd");
        assert_eq!(&*server.recv().await.unwrap(), b"efghi");
        assert!(read_rest(&server).await.is_empty());
    });
}

#[test]
fn kinds_take_turns_and_the_order_holds() {
    let _alone = alone();
    runtime().block_on(async {
        let (mut client, server) = half_std();
        let mut sent = Vec::new();
        let mut read = Vec::new();
        for round in 0..300_u32 {
            let chunk = round.to_be_bytes();
            let mut drops: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + '_>>> = vec![
                Box::pin(async { drop(server.recv().await) }),
                Box::pin(async { drop(server.read_exact(vec![0; 32].into_boxed_slice()).await) }),
                Box::pin(async { drop(server.read_to_end(Vec::new()).await) }),
            ];
            let mut dropped = drops.swap_remove(round as usize % 3);
            // Only what is not served at once may be dropped: the stash is empty at the start of each round.
            assert!(poll_once(dropped.as_mut()).await.is_pending());
            client.write_all(&chunk).expect("sent");
            sent.extend_from_slice(&chunk);
            if round % 2 == 0 {
                turn().await;
            }
            drop(dropped);
            match round % 4 {
                0 => read.extend(read_exactly(&server, 4).await),
                1 => read.extend(&*server.recv().await.unwrap()),
                2 => read.extend(server.read(Vec::with_capacity(4)).await.1),
                _ => {
                    let bufs = vec![Vec::with_capacity(1), Vec::with_capacity(3)];
                    read.extend(server.read_vectored(bufs).await.1.concat());
                }
            }
        }
        assert_eq!(read, sent);
    });
}

#[test]
fn bytes_come_before_a_reset() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = stashed(b"abc").await;
        let client = TcpStream::from_std(client).expect("a socket");
        client.set_linger(Some(Duration::ZERO)).expect("a socket");
        drop(client);
        let (result, buf) = server.read_exact(Vec::with_capacity(9)).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(buf, b"abc");
    });
}

#[test]
fn a_reset_that_a_dropped_read_saw_is_not_lost() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = half_std();
        let client = TcpStream::from_std(client).expect("a socket");
        client.set_linger(Some(Duration::ZERO)).expect("a socket");
        let mut reading = Box::pin(server.read(Vec::with_capacity(9)));
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
        drop(client);
        turn().await;
        drop(reading);
        let (result, _) = server.read(Vec::with_capacity(9)).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_stream_with_a_stash_does_not_become_one_of_std() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = stashed(b"abc").await;
        let error = server.into_std().expect_err("bytes are stashed");
        assert!(error.to_string().contains("read them first"), "{error}");
        let server = error.inner;
        assert_eq!(read_exactly(&server, 3).await, b"abc");
        let _ = poll_and_drop(server.read(Vec::with_capacity(1))).await;
        let server = server.into_std().expect("nothing is stashed");
        (&client).write_all(b"def").expect("sent");
        let mut buf = [0; 3];
        std::io::Read::read_exact(&mut &server, &mut buf).expect("blocking, with its bytes");
        assert_eq!(&buf, b"def");
    });
}
