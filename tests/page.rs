//! The page: what it answers to whom, and what it shows in a real browser. Where there is no Chromium, that part says so and
//! passes. With `CAMSHAFT_SCREENSHOTS`, pictures of the page go to that folder.
#![cfg(feature = "inspect")]

#[path = "common/chromium.rs"]
mod chromium;
mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use camshaft::runtime::{Builder, Runtime};
use camshaft::{task, time};
use chromium::Browser;
use common::{fds, isolated};
use serde_json::{Value, json};

/// How long something may take to appear in the browser.
const PATIENCE: Duration = Duration::from_secs(30);

fn served() -> (Runtime, SocketAddr) {
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let builder = Builder::new().page(loopback).name("<i>page</i>");
    let runtime = builder.record(1000).build();
    let runtime = runtime.expect("a runtime can be built");
    let address = runtime.page().expect("it was asked for");
    (runtime, address)
}

/// Runs blocking work while the runtime has its turns.
fn beside<T: Send + 'static>(runtime: &Runtime, work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = runtime.block_on(async { task::spawn_blocking(work).await });
    done.expect("it does not panic")
}

fn asked(address: SocketAddr, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is a socket");
    stream.write_all(request).expect("it reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("it answers and hangs up");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    asked(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes(),
    )
}

async fn patient() {
    time::sleep(Duration::from_secs(3600)).await;
}

#[test]
fn only_the_loopback_interface_is_served() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let address = address.parse().expect("an address");
        let error = Builder::new()
            .page(address)
            .build()
            .expect_err("others could read it");
        assert!(
            error
                .to_string()
                .contains("no address of the loopback interface"),
            "{error}"
        );
    }
    let (_runtime, address) = served();
    let error = Builder::new()
        .page(address)
        .build()
        .expect_err("the port is taken");
    assert!(
        error.to_string().contains(&format!("{address}: ")),
        "{error}"
    );
    assert_eq!(common::runtime().page(), None);
}

#[test]
fn a_request_gets_what_it_asks_for_and_nothing_more() {
    let (runtime, address) = served();
    let _tasks: Vec<_> = (0..7).map(|_| runtime.spawn(patient())).collect();
    let (page, look, folded, foreign, post) = beside(&runtime, move || {
        let foreign = b"GET /look.json HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        let mut post =
            format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 60000\r\n\r\n")
                .into_bytes();
        post.extend([b'x'; 60_000]);
        (
            get(address, "/"),
            get(address, "/look.json"),
            get(address, "/folded.json"),
            asked(address, foreign),
            asked(address, &post),
        )
    });
    let length = |(head, body): &(String, String)| {
        assert!(
            head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())),
            "{head}"
        );
    };
    for answer in [&page, &look, &folded, &foreign, &post] {
        length(answer);
        for header in [
            "Content-Security-Policy: default-src 'none'",
            "frame-ancestors 'none'",
            "nosniff",
            "same-origin",
            "no-store",
        ] {
            assert!(answer.0.contains(header), "no {header} in {}", answer.0);
        }
        assert!(!answer.0.contains("Access-Control"), "{}", answer.0);
    }
    assert!(
        page.0
            .starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"),
        "{}",
        page.0
    );
    assert!(!page.1.contains("NONCE"));
    let json = |text: &str| -> Value { serde_json::from_str(text).expect("it is JSON") };
    assert_eq!(
        json(&look.1)["dump"]["tasks"].as_array().map(Vec::len),
        Some(8)
    );
    assert_eq!(json(&folded.1)["groups"][1]["count"], 7);
    assert!(foreign.0.starts_with("HTTP/1.1 403 "), "{}", foreign.0);
    assert!(
        post.0.starts_with("HTTP/1.1 405 ") && post.0.contains("\r\nAllow: GET\r\n"),
        "{}",
        post.0
    );
}

#[test]
fn a_client_that_means_harm_does_none() {
    isolated("a_client_that_means_harm_does_none", || {
        let (runtime, address) = served();
        let before = fds();
        let (long, good) = beside(&runtime, move || {
            let connect = || TcpStream::connect(address).expect("it listens");
            let silent: Vec<_> = (0..100).map(|_| connect()).collect();
            let slow = connect();
            (&slow).write_all(b"GET / HTT").expect("it is buffered");
            let deaf: Vec<_> = (0..50).map(|_| connect()).collect();
            for mut client in &deaf {
                // Some have lost their place already.
                let _ = client.write_all(
                    format!("GET /look.json HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes(),
                );
            }
            let mut endless = connect();
            let mut written = 0;
            while written < 1 << 30 && endless.write_all(&[b'x'; 1 << 16]).is_ok() {
                written += 1 << 16;
            }
            let long = asked(address, &[b'x'; 8 << 10]);
            let good = get(address, "/folded.json");
            drop((silent, slow, deaf, endless));
            assert!(written < 64 << 20, "{written} bytes were taken");
            (long, good)
        });
        assert!(long.0.starts_with("HTTP/1.1 431 "), "{}", long.0);
        assert!(good.0.starts_with("HTTP/1.1 200 "), "{}", good.0);
        assert!(
            fds() <= before + 17,
            "{} descriptors are left",
            fds() - before
        );
    });
}

#[test]
fn another_user_of_the_machine_is_told_nothing() {
    // SAFETY: it can't fail, and passes no memory.
    if unsafe { libc::geteuid() } != 0 {
        return eprintln!("skipped: only root can be somebody else");
    }
    let (runtime, address) = served();
    let (theirs, ours) = beside(&runtime, move || {
        let theirs = std::thread::spawn(move || {
            // SAFETY: the raw system call changes this thread alone, and passes no memory.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
            assert_eq!(changed, 0);
            let mut stream = TcpStream::connect(address).expect("it listens");
            let _ = write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        });
        (theirs.join().expect("it does not panic"), get(address, "/"))
    });
    assert_eq!(theirs, "");
    assert!(ours.0.starts_with("HTTP/1.1 200 OK"), "{}", ours.0);
}

/// What the page shows: the width of its content, what sticks out, and the texts of its parts.
const LOOK: &str = "(() => {
    const texts = query => [...document.querySelectorAll(query)].filter(element => element.checkVisibility())
        .map(element => element.textContent);
    return {
        width: document.documentElement.scrollWidth,
        screen: document.documentElement.clientWidth,
        outside: [...document.querySelectorAll('body *')]
            .filter(element => element.checkVisibility() && !element.closest('.scroll, pre, svg, caption, .skip'))
            .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
            .map(element => element.outerHTML.slice(0, 120)),
        unnamed: [...document.querySelectorAll('input, button, [role=region], section')]
            .filter(element => !(element.labels?.length || element.textContent || element.ariaLabel)).length,
        title: texts('h1')[0], status: texts('#status')[0], groups: texts('.group h3'), trees: texts('.group pre'),
        metrics: texts('#metrics dd'), types: texts('#types tbody th'),
        states: texts('#states tbody tr'), paper: getComputedStyle(document.documentElement).backgroundColor,
    };
})()";

/// Looks until the page shows it.
fn until(browser: &mut Browser, is_there: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = browser.evaluate(LOOK);
        if is_there(&seen) {
            return seen;
        }
        assert!(Instant::now() < end, "it does not appear: {seen:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn has(texts: &Value, part: &str) -> bool {
    let mut texts = texts.as_array().into_iter().flatten();
    texts.any(|text| text.as_str().is_some_and(|text| text.contains(part)))
}

#[test]
fn the_page_shows_what_happens_in_a_browser() {
    let Some(mut browser) = Browser::start() else {
        eprintln!("skipped: no chromium on PATH");
        return;
    };
    let (runtime, address) = served();
    let handle = runtime.handle();
    let hostile = "<script>document.title='x'</script><img src=x onerror=alert(1)>";
    for _ in 0..300 {
        drop(runtime.spawn(patient()));
    }
    beside(&runtime, move || {
        let page = format!("http://{address}/");
        for (width, scheme, paper) in [
            (1280, "light", "255, 254, 250"),
            (400, "dark", "23, 22, 21"),
            (320, "light", "255, 254, 250"),
        ] {
            browser.resize(width, scheme);
            browser.open(&page);
            let seen = until(&mut browser, |seen| has(&seen["groups"], "300 tasks"));
            assert_eq!(seen["outside"], json!([]), "sticks out at {width}");
            assert_eq!(
                seen["width"], seen["screen"],
                "the page scrolls sideways at {width}"
            );
            assert_eq!(
                (&seen["unnamed"], &seen["status"]),
                (&json!(0), &json!("live"))
            );
            assert!(has(&json!([seen["paper"]]), paper), "{seen}");
            assert!(
                has(&seen["trees"], "patient") && has(&seen["types"], "patient"),
                "{seen}"
            );
            // Where 300 wait, and none has gone on yet.
            assert!(has(&seen["states"], "Sleep3000–"), "{seen:#}");
            // Named by whoever can name a runtime.
            assert_eq!(seen["title"], "<i>page</i>");
            if let Some(folder) = env::var_os("CAMSHAFT_SCREENSHOTS") {
                let path = Path::new(&folder).join(format!("page-{width}-{scheme}.png"));
                fs::write(path, browser.picture()).expect("the folder of pictures can be written");
            }
        }
        // What appears while the page is open is shown, as text.
        let named = task::Builder::new().name(hostile);
        handle.spawn(async move { drop(named.spawn(patient())) });
        until(&mut browser, |seen| has(&seen["groups"], hostile));
        assert_eq!(
            browser.evaluate("document.querySelectorAll('main script, main img, h1 i').length"),
            0
        );
        // Paused, nothing changes; the filter is for what is shown.
        browser.evaluate("document.getElementById('pause').click()");
        let type_in = "(() => { const filter = document.getElementById('filter'); filter.value = 'ONERROR'; \
            filter.dispatchEvent(new Event('input')); })()";
        browser.evaluate(type_in);
        let seen = until(&mut browser, |seen| seen["status"] == "paused");
        assert_eq!(seen["groups"].as_array().map(Vec::len), Some(1), "{seen}");
        assert_eq!(browser.complaints(), [] as [String; 0]);
        let ours = |request: &&String| !request.starts_with(&page) && !request.starts_with("data:");
        assert_eq!(
            browser.requests().iter().find(ours),
            None,
            "the page asks somebody else"
        );
    });
}
