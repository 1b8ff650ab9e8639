//! The messages of DNS, as far as they are needed (RFC 1035, section 4).

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};

/// A query for the addresses of a name: a header, and one question.
pub(crate) fn query(id: u16, name: &str) -> Result<Vec<u8>> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]); // recursion desired, one question
    for label in name.trim_end_matches('.').split('.') {
        ensure!((1..64).contains(&label.len()), "{name:?} is no name");
        message.push(u8::try_from(label.len())?);
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]); // the root; type A, class IN
    Ok(message)
}

/// The answer of a stub to a query: one address for any name. None if it is no query.
pub(crate) fn answer(mut query: Vec<u8>) -> Option<Vec<u8>> {
    query.get_mut(..12)?[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]); // an answer to one question, with one record
    query.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]); // the name asked for; A, IN, 60 s, 4 bytes
    query.extend([192, 0, 2, 7]);
    Some(query)
}

/// The addresses in an answer.
pub(crate) fn addresses(answer: &[u8]) -> Result<Vec<Ipv4Addr>> {
    let count = |at: usize| {
        answer
            .get(at..at + 2)
            .map(|it| u16::from_be_bytes([it[0], it[1]]))
    };
    let code = answer.get(3).context("the answer is cut off")? & 15;
    ensure!(code == 0, "the server answers with error {code}");
    let mut at = after_name(answer, 12)? + 4;
    let mut found = Vec::new();
    for _ in 0..count(6).context("the answer is cut off")? {
        let record = after_name(answer, at)?;
        let (kind, len) = count(record).zip(count(record + 8)).context("cut off")?;
        let data = answer.get(record + 10..record + 10 + usize::from(len));
        if let (1, Some(&[a, b, c, d])) = (kind, data) {
            found.push(Ipv4Addr::new(a, b, c, d));
        }
        at = record + 10 + usize::from(len);
    }
    Ok(found)
}

/// Where a name ends: after the root label, or after a pointer to a name elsewhere.
fn after_name(answer: &[u8], mut at: usize) -> Result<usize> {
    loop {
        match *answer.get(at).context("the answer is cut off")? {
            0 => return Ok(at + 1),
            label @ 1..64 => at += 1 + usize::from(label),
            _ => return Ok(at + 2),
        }
    }
}
