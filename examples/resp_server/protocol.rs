//! The Redis protocol, as far as a small server needs it: commands in, answers out.

use std::io::Write;

/// The most bytes of a command.
const LONGEST: usize = 1024 * 1024;
/// The most words of a command.
const MOST_WORDS: usize = 1024;
/// The most bytes of a line: a command in words, or a length.
const LONGEST_LINE: usize = 64 * 1024;

/// What the received bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// Nothing whole yet.
    Partial,
    /// The words of a command, and how many bytes it takes.
    Command(Vec<&'a [u8]>, usize),
    /// What no command begins with.
    Wrong(&'static str),
}

/// Parses a command: an array of strings with lengths, or a line of words.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let parsed = match bytes.first() {
        None => Ok(None),
        Some(b'*') => words(bytes),
        Some(_) => line(bytes).map(|line| {
            line.map(|(line, len)| {
                let words = line.split(u8::is_ascii_whitespace);
                (words.filter(|word| !word.is_empty()).collect(), len)
            })
        }),
    };
    match parsed {
        Ok(Some((words, len))) => Parsed::Command(words, len),
        Ok(None) if bytes.len() > LONGEST => Parsed::Wrong("the command is too long"),
        Ok(None) => Parsed::Partial,
        Err(why) => Parsed::Wrong(why),
    }
}

/// `None`: it is not whole yet.
type Step<T> = Result<Option<T>, &'static str>;

/// A line without its end, and its length with it.
fn line(bytes: &[u8]) -> Step<(&[u8], usize)> {
    let head = &bytes[..bytes.len().min(LONGEST_LINE)];
    match head.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = &head[..end];
            Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1)))
        }
        None if bytes.len() >= LONGEST_LINE => Err("too big inline request"),
        None => Ok(None),
    }
}

/// A line of a mark and a number, and its length.
fn number(bytes: &[u8], mark: u8, most: usize) -> Step<(usize, usize)> {
    let Some((line, len)) = line(bytes)? else {
        return Ok(None);
    };
    let Some(digits) = line.strip_prefix(&[mark]) else {
        return Err("expected '$' and the length of a word");
    };
    let number = str::from_utf8(digits).ok().and_then(|it| it.parse().ok());
    match number {
        Some(number) if number <= most => Ok(Some((number, len))),
        _ => Err("invalid length"),
    }
}

fn words(bytes: &[u8]) -> Step<(Vec<&[u8]>, usize)> {
    let Some((count, mut at)) = number(bytes, b'*', MOST_WORDS)? else {
        return Ok(None);
    };
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let Some((len, head)) = number(&bytes[at..], b'$', LONGEST)? else {
            return Ok(None);
        };
        let start = at + head;
        at = start + len + 2;
        match bytes.get(start + len..at) {
            Some(b"\r\n") => words.push(&bytes[start..start + len]),
            Some(_) => return Err("a word is longer than its length says"),
            None => return Ok(None),
        }
    }
    Ok(Some((words, at)))
}

pub(crate) fn simple(out: &mut Vec<u8>, text: &str) {
    put(out, format_args!("+{text}\r\n"));
}

pub(crate) fn error(out: &mut Vec<u8>, text: &str) {
    put(out, format_args!("-ERR {text}\r\n"));
}

pub(crate) fn integer(out: &mut Vec<u8>, value: i64) {
    put(out, format_args!(":{value}\r\n"));
}

/// The head of an array of so many answers.
pub(crate) fn array(out: &mut Vec<u8>, len: usize) {
    put(out, format_args!("*{len}\r\n"));
}

/// A string of bytes, or none.
pub(crate) fn bulk(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.extend_from_slice(b"$-1\r\n"),
        Some(bytes) => {
            put(out, format_args!("${}\r\n", bytes.len()));
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(text);
}
