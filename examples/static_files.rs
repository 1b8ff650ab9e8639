//! A web server of the files below a directory, with hyper.
//!
//! ```console
//! $ cargo run --features hyper --example static_files -- 127.0.0.1:8080 .
//! $ curl -s http://127.0.0.1:8080/README.md | cmp - README.md
//! ```
//!
//! It reads while it sends, 64 KiB at a time, so that a large file takes no more memory than a small one. What is outside of the
//! directory is not served, also if a link leads there.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;

use camshaft::compat::{HyperIo, HyperTimer};
use camshaft::fs::{self, File, OpenOptions};
use camshaft::net::TcpListener;
use futures_lite::stream::{Stream, try_unfold};
use http_body_util::{Either, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{ALLOW, CONTENT_LENGTH, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};

const CHUNK: usize = 64 * 1024;

type Content = StreamBody<Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>>>>>;
type Answer = Response<Either<Empty<Bytes>, Content>>;

/// The content of a file up to a length, which the answer has promised.
fn content(file: File, len: u64) -> Content {
    let chunks = try_unfold((file, 0), move |(file, at)| async move {
        let wanted = usize::try_from(len - at).unwrap_or(CHUNK).min(CHUNK);
        if wanted == 0 {
            return Ok(None);
        }
        let (read, mut chunk) = file.read_at(Vec::with_capacity(wanted), at).await;
        let n = read?;
        if n == 0 {
            return Err(io::Error::other("the file became shorter"));
        }
        chunk.truncate(wanted); // the capacity may have been more
        let at = at + u64::try_from(chunk.len()).unwrap_or(0);
        Ok(Some((Frame::data(chunk.into()), (file, at))))
    });
    StreamBody::new(Box::pin(chunks))
}

fn refuse(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Left(Empty::new()));
    *answer.status_mut() = status;
    answer
}

async fn find(root: &Path, request: &Request<Incoming>) -> io::Result<Answer> {
    let name = request.uri().path().trim_start_matches('/');
    let path = fs::canonicalize(root.join(name)).await?;
    if !path.starts_with(root) {
        return Err(io::ErrorKind::NotFound.into());
    }
    // Not blocking: a pipe among the files would be waited for until somebody writes to it.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(&path).await?;
    let status = file.metadata().await?;
    if !status.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut answer = Response::new(match *request.method() {
        Method::HEAD => Either::Left(Empty::new()),
        _ => Either::Right(content(file, status.len())),
    });
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, status.len().into());
    Ok(answer)
}

async fn answer(root: Rc<PathBuf>, request: Request<Incoming>) -> io::Result<Answer> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = refuse(StatusCode::METHOD_NOT_ALLOWED);
        let allowed = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        return Ok(refused);
    }
    match find(&root, &request).await {
        Ok(answer) => Ok(answer),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(refuse(StatusCode::FORBIDDEN))
        }
        Err(_) => Ok(refuse(StatusCode::NOT_FOUND)),
    }
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let root = words.next().unwrap_or_else(|| ".".to_owned());
    let root = fs::canonicalize(&root)
        .await
        .map_err(|error| format!("{root}: {error}"))?;
    if !fs::metadata(&root).await?.is_dir() {
        return Err(format!("{}: it is not a directory", root.display()).into());
    }
    let root = Rc::new(root);
    let listener = TcpListener::bind(&*address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("serving {} on {}", root.display(), listener.local_addr()?);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("a connection was not accepted: {error}"); // no descriptor left, say
                continue; // the next accept waits a little, so this does not spin
            }
        };
        let root = root.clone();
        camshaft::spawn(async move {
            let service = service_fn(move |request| answer(root.clone(), request));
            let served = http1::Builder::new()
                .timer(HyperTimer::new())
                .serve_connection(HyperIo::new(stream), service);
            if let Err(error) = served.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
