//! What keys mean: bytes, one sequence after the other, wherever a read has cut them.
//!
//! The escape key sends the byte that all sequences begin with. So it is known only if nothing follows for a moment.

use std::collections::VecDeque;

const ESCAPE: u8 = 0x1b;

/// A sequence that is longer is none.
const LONGEST: usize = 32;

/// More pages than there are.
const ALL: usize = 1 << 32;

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    /// To be in the background.
    Stop,
    Pause,
    /// By so many pages and lines.
    Up(usize, usize),
    Down(usize, usize),
}

/// What was typed and is not yet understood.
#[derive(Debug, Default)]
pub(super) struct Keys {
    typed: VecDeque<u8>,
}

impl Keys {
    pub(super) fn typed(&mut self, bytes: &[u8]) {
        self.typed.extend(bytes);
    }

    /// The next key that means something, as far as what was typed is whole.
    pub(super) fn next(&mut self) -> Option<Key> {
        while let Some(length) = length(self.typed.make_contiguous()) {
            let sequence: Vec<_> = self.typed.drain(..length).collect();
            if let Some(key) = meaning(&sequence) {
                return Some(key);
            }
        }
        None
    }

    /// Nothing has followed for a moment: what is not whole will not be.
    pub(super) fn rest(&mut self) -> Option<Key> {
        let rest = std::mem::take(&mut self.typed);
        (rest == [ESCAPE]).then_some(Key::Quit)
    }
}

/// How long the sequence is that comes first, if it is whole.
fn length(typed: &[u8]) -> Option<usize> {
    let introducer = match typed {
        [] | [ESCAPE] => return None,
        [ESCAPE, introducer, ..] => *introducer,
        _ => return Some(1),
    };
    match introducer {
        b'[' => {
            let ends = |byte: &u8| !(0x20..0x40).contains(byte);
            match typed.iter().skip(2).position(ends) {
                // What can't be in a sequence begins something else.
                Some(at) if !(0x40..0x7f).contains(&typed[2 + at]) => Some(2 + at),
                Some(at) => Some(2 + at + 1),
                None => (typed.len() > LONGEST).then_some(typed.len()),
            }
        }
        b'O' => (typed.len() > 2).then_some(3),
        // Typed twice, or before a sequence.
        ESCAPE => Some(1),
        // With the key beside it that is held.
        _ => Some(2),
    }
}

fn meaning(sequence: &[u8]) -> Option<Key> {
    Some(match sequence {
        b"\x1b[A" | b"\x1bOA" | b"k" => Key::Up(0, 1),
        b"\x1b[B" | b"\x1bOB" | b"j" | b"\r" => Key::Down(0, 1),
        b"\x1b[5~" | b"b" => Key::Up(1, 0),
        b"\x1b[6~" | b" " | b"f" => Key::Down(1, 0),
        b"\x1b[H" | b"\x1bOH" | b"\x1b[1~" | b"g" => Key::Up(ALL, 0),
        b"\x1b[F" | b"\x1bOF" | b"\x1b[4~" | b"G" => Key::Down(ALL, 0),
        b"p" | b"P" => Key::Pause,
        // Also those that send signals where the terminal is not ours.
        b"q" | b"Q" | b"\x03" | b"\x04" | b"\x1c" => Key::Quit,
        b"\x1a" => Key::Stop,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is understood of pieces, and what if nothing follows them.
    fn meant(pieces: &[&[u8]]) -> (Vec<Key>, Option<Key>) {
        let mut keys = Keys::default();
        let mut all = Vec::new();
        for piece in pieces {
            keys.typed(piece);
            all.extend(std::iter::from_fn(|| keys.next()));
        }
        (all, keys.rest())
    }

    #[test]
    fn keys_mean_what_they_mean_elsewhere() {
        let (up, down) = (Key::Up(0, 1), Key::Down(0, 1));
        let table: [(&[u8], &[Key]); 15] = [
            (b"q", &[Key::Quit]),
            (b"\x03", &[Key::Quit]),
            (b"\x1a", &[Key::Stop]),
            (b"jjq", &[down, down, Key::Quit]),
            (b"\x1b[A", &[up]),
            (b"\x1bOB\x1bOB\x1bOB", &[down, down, down]),
            (b"\x1b[B\x1b[Apj", &[down, up, Key::Pause, down]),
            (b"\x1b[6~", &[Key::Down(1, 0)]),
            (b"\x1b[1;5q", &[]),
            (b"\x1bq\x1bOq", &[]),
            (b"\x1b[12\x1b[A", &[up]),
            (b"\x1b[\x03", &[Key::Quit]),
            (b"\x1b\x1b[B", &[down]),
            (b"xj\xc3\xa9", &[down]),
            (b"", &[]),
        ];
        for (typed, wanted) in table {
            assert_eq!(meant(&[typed]), (wanted.to_vec(), None), "{typed:?}");
            // However it is cut.
            let bytes: Vec<_> = typed.chunks(1).collect();
            assert_eq!(meant(&bytes), (wanted.to_vec(), None), "{typed:?}");
        }
    }

    #[test]
    fn only_the_escape_key_stands_alone() {
        assert_eq!(meant(&[b"\x1b"]), (vec![], Some(Key::Quit)));
        assert_eq!(meant(&[b"j\x1b\x1b"]).1, Some(Key::Quit));
        for half in [&b"\x1b["[..], b"\x1bO", b"\x1b[5"] {
            assert_eq!(meant(&[half]), (vec![], None), "{half:?}");
        }
    }

    #[test]
    fn what_never_ends_is_not_kept() {
        let mut keys = Keys::default();
        keys.typed(b"\x1b[");
        for _ in 0..1000 {
            keys.typed(b"1;");
            assert_eq!(keys.next(), None);
            assert!(keys.typed.len() <= LONGEST + 2);
        }
    }
}
