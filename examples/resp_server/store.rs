//! What is stored, and the commands on it.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::protocol::{array, bulk, error, integer, simple};

/// Keys and values. All connections share it without a lock, for all run on one thread.
#[derive(Default)]
pub(crate) struct Store {
    values: RefCell<HashMap<Vec<u8>, Vec<u8>>>,
}

/// What is to be done after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    Close,
}

impl Store {
    /// Carries out a command, and appends the answer. An empty line is none and has none.
    pub(crate) fn run(&self, words: &[&[u8]], out: &mut Vec<u8>) -> Next {
        let Some((name, arguments)) = words.split_first() else {
            return Next::GoOn;
        };
        let mut values = self.values.borrow_mut();
        match (name.to_ascii_uppercase().as_slice(), arguments) {
            (b"PING", []) => simple(out, "PONG"),
            (b"PING" | b"ECHO", [text]) => bulk(out, Some(text)),
            (b"GET", [key]) => bulk(out, values.get(*key).map(Vec::as_slice)),
            (b"SET", [key, value]) => {
                values.insert(key.to_vec(), value.to_vec());
                simple(out, "OK");
            }
            (b"DEL", keys @ [_, ..]) => {
                let gone = keys.iter().filter(|key| values.remove(**key).is_some());
                integer(out, i64::try_from(gone.count()).unwrap_or(i64::MAX));
            }
            (b"INCR", [key]) => {
                let value = values.entry(key.to_vec()).or_insert_with(|| b"0".to_vec());
                let number = str::from_utf8(value)
                    .ok()
                    .and_then(|it| it.parse::<i64>().ok());
                match number.and_then(|number| number.checked_add(1)) {
                    None => error(out, "value is not an integer or out of range"),
                    Some(number) => {
                        *value = number.to_string().into_bytes();
                        integer(out, number);
                    }
                }
            }
            // What the tools of Redis ask first.
            (b"CONFIG" | b"COMMAND", _) => array(out, 0),
            (b"QUIT", []) => {
                simple(out, "OK");
                return Next::Close;
            }
            (b"PING" | b"ECHO" | b"GET" | b"SET" | b"DEL" | b"INCR" | b"QUIT", _) => {
                error(out, "wrong number of arguments");
            }
            (other, _) => {
                let name = String::from_utf8_lossy(&other[..other.len().min(64)]).into_owned();
                let name: String = name.chars().filter(|it| !it.is_control()).collect();
                error(out, &format!("unknown command '{name}'"));
            }
        }
        Next::GoOn
    }
}
