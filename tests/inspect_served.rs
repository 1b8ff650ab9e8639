//! What those who ask from outside are told of sizes and counters: of the program's tasks, and of nothing else.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use camshaft::inspect::{Activity, Dump, Standing};
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::{spawn_blocking, yield_now};
use serde_json::Value;

/// Too large for a slot.
async fn large() {
    let bytes = [1_u8; 12_000];
    std::future::pending::<()>().await;
    black_box(&bytes);
}

async fn small() {
    let bytes = [1_u8; 900];
    std::future::pending::<()>().await;
    black_box(&bytes);
}

fn served() -> (Runtime, SocketAddr) {
    let builder = Builder::new().page(([127, 0, 0, 1], 0).into());
    let runtime = builder.build().expect("a runtime can be built");
    let page = runtime.page().expect("it was asked for");
    (runtime, page)
}

fn ask(page: SocketAddr) -> Value {
    let mut stream = TcpStream::connect(page).expect("it listens");
    let ask = format!("GET /folded.json HTTP/1.1\r\nHost: {page}\r\n\r\n");
    stream.write_all(ask.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).expect("JSON")
}

#[test]
fn a_task_in_a_box_has_its_own_size_and_type() {
    let _alone = alone();
    let (runtime, page) = served();
    drop(runtime.spawn(large()));
    drop(runtime.spawn(small()));
    let answer = runtime.block_on(async { spawn_blocking(move || ask(page)).await });
    let answer = answer.expect("it does not panic");
    for (name, size) in [
        ("large", size_of_val(&large())),
        ("small", size_of_val(&small())),
    ] {
        let sizes = answer["sizes"].as_array().expect("a list");
        let is_it = |row: &&Value| row["type"].as_str().is_some_and(|of| of.ends_with(name));
        let row = sizes
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(row["size"], size, "{row}");
    }
    let dump = runtime.dump();
    let task = dump
        .tasks
        .iter()
        .find(|task| task.root.name.ends_with("large"));
    let task = task.unwrap_or_else(|| panic!("{dump}"));
    assert!(!task.root.name.contains("Box"), "{dump}");
    if dump.missing.is_empty() {
        assert_eq!(task.root.standing, Standing::Suspended, "{dump}");
    }
}

#[test]
fn a_task_in_a_box_is_seen_while_it_runs() {
    async fn looks() -> Dump {
        let bytes = [1_u8; 12_000];
        yield_now().await;
        black_box(&bytes);
        camshaft::inspect::dump()
    }
    let dump = runtime().block_on(async { camshaft::spawn(looks()).await });
    let dump = dump.expect("it does not panic");
    let task = dump.tasks.last().expect("it is one");
    assert_eq!(task.activity, Activity::Running, "{dump}");
    assert!(task.root.name.ends_with("::looks"), "{dump}");
}

#[test]
fn polls_of_those_who_answer_are_not_counted() {
    let _alone = alone();
    let (runtime, page) = served();
    runtime.block_on(async {
        for _ in 0..5 {
            spawn_blocking(move || ask(page))
                .await
                .expect("it does not panic");
        }
    });
    let metrics = runtime.metrics();
    // Once at first, and once for each closure that is over.
    assert!(metrics.polls <= 6, "{metrics:?}");
    assert_eq!(metrics.tasks, 0);
}
