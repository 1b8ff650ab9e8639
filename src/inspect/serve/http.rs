//! The page, and what it shows, by HTTP/1.1: one request a connection, `GET` only, and nothing that a page of others
//! could use.
//!
//! A page of somebody else's, open in the same browser, can send requests to this port. It must not read the answers:
//! there is no header that lets it, and a name of its own that it has resolved to the loopback address is no name of
//! ours.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::IpAddr;

use camshaft_inspect::attach::Question;
use camshaft_io::net::TcpStream;

use super::desk::{Answer, Desk};

/// A request must not be longer.
const LONGEST_REQUEST: usize = 8 << 10;

/// So much of what a client sends beyond its request is read, so that it gets its answer before the connection is gone.
const MOST_IGNORED: usize = 64 << 10;

/// The page. `NONCE` is what its style and its script are known by.
const PAGE: &str = include_str!("page.html");

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Page,
    Json(Question),
    Refused(Refusal),
}

/// Why it gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Malformed,
    Foreign,
    Unknown,
    NotGet,
    TooLong,
}

impl Refusal {
    fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::Foreign => "403 Forbidden",
            Self::Unknown => "404 Not Found",
            Self::NotGet => "405 Method Not Allowed",
            Self::TooLong => "431 Request Header Fields Too Large",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Malformed => "this is no request of HTTP/1.1 with one host\n",
            Self::Foreign => {
                "the page is only for this machine: ask by 127.0.0.1, [::1] or localhost\n"
            }
            Self::Unknown => "there are /, /look.json and /folded.json\n",
            Self::NotGet => "there is nothing to change here: use GET\n",
            Self::TooLong => "the request is too long\n",
        }
    }
}

/// Reads a request and answers it.
pub(super) async fn answer(stream: &TcpStream, desk: &Desk) -> io::Result<()> {
    let mut request = Vec::with_capacity(LONGEST_REQUEST);
    let route = loop {
        let (result, buf) = stream.read(request).await;
        request = buf;
        let came = result?;
        if let Some(end) = end_of(&request) {
            break route(&request[..end]);
        }
        if request.len() >= LONGEST_REQUEST {
            break Route::Refused(Refusal::TooLong);
        }
        if came == 0 {
            return Ok(());
        }
    };
    super::write(stream, &respond(route, desk)).await?;
    stream.shutdown().await?;
    // A connection that is closed with bytes unread is reset, and the answer with it.
    let mut ignored = 0;
    while ignored < MOST_IGNORED {
        request.clear();
        let (result, buf) = stream.read(request).await;
        request = buf;
        match result? {
            0 => break,
            more => ignored += more,
        }
    }
    Ok(())
}

/// Where the empty line after the headers begins.
fn end_of(request: &[u8]) -> Option<usize> {
    let end = b"\r\n\r\n";
    request.windows(end.len()).position(|window| window == end)
}

/// What the lines before the empty one ask for.
fn route(head: &[u8]) -> Route {
    let refused = Route::Refused;
    let Ok(head) = std::str::from_utf8(head) else {
        return refused(Refusal::Malformed);
    };
    let mut lines = head.split("\r\n");
    let words: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words[..] else {
        return refused(Refusal::Malformed);
    };
    let mut hosts = Vec::new();
    let mut is_foreign = false;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return refused(Refusal::Malformed);
        };
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("host") {
            hosts.push(value);
        } else if name.eq_ignore_ascii_case("sec-fetch-site") {
            // A browser tells so of a page of others that asks. To follow a link from there is fine: then this is the page.
            is_foreign |= matches!(value, "cross-site" | "same-site") && target != "/";
        }
    }
    match hosts[..] {
        [host] if !is_foreign && is_loopback(host) => {}
        [_] => return refused(Refusal::Foreign),
        _ => return refused(Refusal::Malformed),
    }
    if method != "GET" {
        return refused(Refusal::NotGet);
    }
    match target {
        "/" => Route::Page,
        "/look.json" => Route::Json(Question::Look),
        "/folded.json" => Route::Json(Question::Folded),
        _ => refused(Refusal::Unknown),
    }
}

/// Whether a host, with or without a port, can only be this machine: not if others decide what its name resolves to.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = match name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
    {
        Some(name) => name.parse().map(IpAddr::V6),
        None => name.parse().map(IpAddr::V4),
    };
    address.is_ok_and(|address| address.is_loopback())
}

fn respond(route: Route, desk: &Desk) -> Answer {
    let mut policy = String::from("default-src 'none'");
    let (status, kind, body) = match route {
        Route::Page => {
            let nonce = nonce();
            policy = format!(
                "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
                 img-src data:"
            );
            (
                "200 OK",
                "text/html",
                Answer::new(PAGE.replace("NONCE", &nonce)),
            )
        }
        Route::Json(question) => ("200 OK", "application/json", desk.answer(question)),
        Route::Refused(why) => (why.status(), "text/plain", Answer::new(why.text())),
    };
    let allow = match route {
        Route::Refused(Refusal::NotGet) => "Allow: GET\r\n",
        _ => "",
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: {kind}; charset=utf-8\r\n\
         Content-Length: {length}\r\n\
         {allow}\
         Connection: close\r\n\
         Cache-Control: no-store\r\n\
         Content-Security-Policy: {policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
         Cross-Origin-Opener-Policy: same-origin\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n\
         Referrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n\
         \r\n"
    );
    body.after(&head)
}

/// Something that nobody can guess: the keys of hashes are random.
fn nonce() -> String {
    let keys = RandomState::new();
    format!("{:016x}{:016x}", keys.hash_one(1), keys.hash_one(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str, headers: &str) -> Route {
        route(format!("GET {target} HTTP/1.1{headers}").as_bytes())
    }

    #[test]
    fn each_path_has_its_answer() {
        let host = "\r\nHost: 127.0.0.1:7000";
        assert_eq!(get("/", host), Route::Page);
        assert_eq!(get("/look.json", host), Route::Json(Question::Look));
        assert_eq!(get("/folded.json", host), Route::Json(Question::Folded));
        for target in ["/x", "//", "/../etc/passwd", "*", "http://127.0.0.1/", "/?"] {
            assert_eq!(
                get(target, host),
                Route::Refused(Refusal::Unknown),
                "{target}"
            );
        }
        for method in ["POST", "HEAD", "OPTIONS", "get"] {
            let request = format!("{method} / HTTP/1.1{host}");
            assert_eq!(route(request.as_bytes()), Route::Refused(Refusal::NotGet));
        }
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in [
            "localhost",
            "LocalHost:80",
            "127.0.0.1",
            "127.9.8.7:1",
            "[::1]",
            "[::1]:7000",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:7000",
            "10.0.0.1",
            "[2001:db8::1]:80",
            "",
            "::1",
            "127.1",
            "localhost:x",
            "2130706433",
            "[127.0.0.1]",
            "localhost@evil.example",
        ] {
            assert!(!is_loopback(host), "{host}");
            let headers = format!("\r\nHost: {host}");
            assert_eq!(
                get("/", &headers),
                Route::Refused(Refusal::Foreign),
                "{host}"
            );
        }
    }

    #[test]
    fn pages_of_others_are_told_nothing() {
        let from = |site: &str| format!("\r\nhost: localhost\r\nSec-Fetch-Site: {site}");
        for site in ["cross-site", "same-site"] {
            assert_eq!(
                get("/folded.json", &from(site)),
                Route::Refused(Refusal::Foreign)
            );
            assert_eq!(get("/", &from(site)), Route::Page);
        }
        assert_eq!(
            get("/folded.json", &from("same-origin")),
            Route::Json(Question::Folded)
        );
        assert_eq!(
            get("/look.json", &from("none")),
            Route::Json(Question::Look)
        );
    }

    #[test]
    fn garbage_is_malformed() {
        let host = "\r\nHost: localhost";
        for request in [
            "",
            "GET",
            "GET /",
            "GET / HTTP/2.0",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 x",
            "\r\nGET / HTTP/1.1",
        ] {
            let request = format!("{request}{host}");
            assert_eq!(
                route(request.as_bytes()),
                Route::Refused(Refusal::Malformed),
                "{request:?}"
            );
        }
        for headers in [
            "",
            "\r\nHost: localhost\r\nHost: localhost",
            "\r\nHost: localhost\r\nno colon",
        ] {
            assert_eq!(
                get("/", headers),
                Route::Refused(Refusal::Malformed),
                "{headers:?}"
            );
        }
        assert_eq!(
            route(b"GET /\xff HTTP/1.1\r\nHost: localhost"),
            Route::Refused(Refusal::Malformed)
        );
    }

    #[test]
    fn a_nonce_is_never_the_same() {
        let (one, two) = (nonce(), nonce());
        assert_eq!(one.len(), 32);
        assert_ne!(one, two);
    }

    #[test]
    fn the_page_is_one_file_and_needs_no_other() {
        assert_eq!(
            PAGE.matches("nonce=\"NONCE\"").count(),
            PAGE.matches("NONCE").count()
        );
        for stranger in [
            "http:",
            "https:",
            "@import",
            "url(",
            "innerHTML",
            " style=",
            " onclick",
            "src=",
        ] {
            assert!(!PAGE.contains(stranger), "{stranger}");
        }
    }
}
