//! A key-value store that speaks enough of the protocol of Redis to be measured by its tools.
//!
//! ```console
//! $ cargo run --release --example resp_server -- 127.0.0.1:6380
//! $ redis-benchmark -p 6380 -t ping,set,get,incr -n 100000 -c 50 -P 16 -q
//! $ printf 'SET greeting hello\r\nGET greeting\r\n' | nc -q1 127.0.0.1 6380
//! ```
//!
//! Requests that came together are answered together, in one write. All connections share the store: there is one thread, so
//! it needs no lock.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::rc::Rc;

use camshaft::net::{TcpListener, TcpStream};

/// The longest request, in bytes.
const LIMIT: usize = 1 << 20;

type Store = RefCell<HashMap<Vec<u8>, Vec<u8>>>;

/// Takes a line off the front: the line, and what it took.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], end + 2))
}

fn number(bytes: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(bytes);
    let number = text.parse().ok().filter(|n| *n <= LIMIT);
    number.ok_or_else(|| format!("{text:?} is no length up to {LIMIT}"))
}

/// The words of the first request, and how long it was. `None`: it is not all there.
fn parse(bytes: &[u8]) -> Result<Option<(Vec<&[u8]>, usize)>, String> {
    let Some((first, mut at)) = line(bytes) else {
        return Ok(None);
    };
    let Some(count) = first.strip_prefix(b"*") else {
        // Typed by hand: words with spaces between them.
        let words = first.split(|byte| *byte == b' ');
        return Ok(Some((words.filter(|word| !word.is_empty()).collect(), at)));
    };
    let mut words = Vec::new();
    for _ in 0..number(count)? {
        let Some((header, taken)) = line(&bytes[at..]) else {
            return Ok(None);
        };
        let len = number(header.strip_prefix(b"$").ok_or("a string was expected")?)?;
        at += taken;
        let Some(word) = bytes.get(at..at + len + 2) else {
            return Ok(None);
        };
        words.push(&word[..len]);
        at += len + 2;
    }
    Ok(Some((words, at)))
}

fn bulk(out: &mut Vec<u8>, value: Option<&Vec<u8>>) {
    match value {
        None => out.extend_from_slice(b"$-1\r\n"),
        Some(value) => {
            out.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn execute(store: &Store, words: &[&[u8]], out: &mut Vec<u8>) {
    let mut store = store.borrow_mut();
    let Some((name, arguments)) = words.split_first() else {
        return; // an empty line
    };
    match (&*name.to_ascii_uppercase(), arguments) {
        (b"PING", []) => out.extend_from_slice(b"+PONG\r\n"),
        (b"SET", [key, value]) => {
            store.insert(key.to_vec(), value.to_vec());
            out.extend_from_slice(b"+OK\r\n");
        }
        (b"GET", [key]) => bulk(out, store.get(*key)),
        (b"DEL", [key]) => {
            let removed = u8::from(store.remove(*key).is_some());
            out.extend_from_slice(format!(":{removed}\r\n").as_bytes());
        }
        (b"INCR", [key]) => {
            let old = store
                .get(*key)
                .map_or(Ok(0), |value| String::from_utf8_lossy(value).parse::<i64>());
            match old.ok().and_then(|old| old.checked_add(1)) {
                Some(new) => {
                    store.insert(key.to_vec(), new.to_string().into_bytes());
                    out.extend_from_slice(format!(":{new}\r\n").as_bytes());
                }
                None => out.extend_from_slice(b"-ERR value is not an integer or out of range\r\n"),
            }
        }
        (b"CONFIG" | b"COMMAND", _) => out.extend_from_slice(b"*0\r\n"),
        _ => out.extend_from_slice(b"-ERR unknown command or wrong number of arguments\r\n"),
    }
}

async fn serve(stream: TcpStream, store: Rc<Store>) -> io::Result<()> {
    let mut heard = Vec::new();
    let mut answers = Vec::new();
    loop {
        let received = stream.recv().await?;
        if received.is_empty() {
            return Ok(());
        }
        heard.extend_from_slice(&received);
        drop(received);
        let mut done = 0;
        let wrong = loop {
            match parse(&heard[done..]) {
                Ok(Some((words, taken))) => {
                    execute(&store, &words, &mut answers);
                    done += taken;
                }
                Ok(None) if heard.len() - done > LIMIT => break Some("too long".to_owned()),
                Ok(None) => break None,
                Err(why) => break Some(why),
            }
        };
        heard.drain(..done);
        if let Some(why) = &wrong {
            answers.extend_from_slice(format!("-ERR protocol error: {why}\r\n").as_bytes());
        }
        let (written, buf) = stream.write_all(answers).await;
        written?;
        answers = buf;
        answers.clear();
        if wrong.is_some() {
            return stream.shutdown().await;
        }
    }
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:6380".to_owned());
    let listener = TcpListener::bind(&*address).await?;
    println!("serving on {}", listener.local_addr()?);
    let store = Rc::new(Store::default());
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            continue; // no descriptor left; the next accept waits a little
        };
        stream.set_nodelay(true)?;
        let store = store.clone();
        camshaft::spawn(async move {
            if let Err(error) = serve(stream, store).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
