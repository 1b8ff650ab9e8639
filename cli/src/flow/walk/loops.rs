//! What is walked more than once, or left from inside.

use super::{Last, Walk};
use crate::tokens::Token;

/// A loop, or a block with a label, that can be left from inside.
pub(super) struct Frame<'a> {
    label: Option<&'a str>,
    /// Whether a `break` without a label may mean it.
    is_loop: bool,
    breaks: Last,
    continues: Last,
}

impl<'a> Walk<'a, '_> {
    /// A label before a loop or a block.
    pub(super) fn labelled(&mut self, label: &'a str, last: Last) -> Last {
        self.at += 1;
        if self.sign() != Some(':') {
            return last; // a lifetime
        }
        self.at += 1;
        match self.word() {
            Some(word @ ("loop" | "while" | "for")) => {
                self.at += 1;
                self.repeat(word, Some(label), last)
            }
            None if self.sign() == Some('{') => {
                let (mut left, frame) = self.framed(Some(label), false, last);
                left.extend(frame.breaks);
                left
            }
            _ => last, // a bound
        }
    }

    /// A block that can be left from inside.
    fn framed(&mut self, label: Option<&'a str>, is_loop: bool, last: Last) -> (Last, Frame<'a>) {
        let frame = |label| Frame {
            label,
            is_loop,
            breaks: Last::new(),
            continues: Last::new(),
        };
        self.frames.push(frame(label));
        let left = self.block(last);
        (left, self.frames.pop().unwrap_or_else(|| frame(None)))
    }

    pub(super) fn repeat(&mut self, word: &str, label: Option<&'a str>, last: Last) -> Last {
        // What a `for` loop runs over is evaluated once, the condition of a `while` loop each time.
        let mut before = match word {
            "for" => {
                self.skip_pattern(|token| token == Token::Word("in"));
                self.head(last).either()
            }
            _ => last,
        };
        let begin = self.at;
        let mut after = Last::new();
        // Of a loop in a loop it is known what a round leaves when it comes again. Without that, the time would double with
        // each loop around.
        before.extend(self.rounds.get(&begin).into_iter().flatten());
        // What holds after one round holds after any number of them, so the second adds nothing.
        loop {
            self.at = begin;
            let known = before.len();
            let entered = match word {
                "while" => {
                    let condition = self.head(before.clone());
                    after.extend(condition.no);
                    condition.yes
                }
                _ => before.clone(),
            };
            let (mut round, frame) = self.framed(label, true, entered);
            round.extend(frame.continues);
            after.extend(frame.breaks);
            before.extend(&round);
            self.rounds.entry(begin).or_default().extend(round);
            if before.len() == known {
                break;
            }
        }
        if word == "for" {
            after.extend(&before);
        }
        after
    }

    pub(super) fn jump(&mut self, out: bool, last: Last) -> Last {
        let label = self.label();
        if label.is_some() {
            self.at += 1;
        }
        let last = self.expression(last);
        let meant = |frame: &&mut Frame<'_>| match label {
            Some(_) => frame.label == label,
            None => frame.is_loop,
        };
        match self.frames.iter_mut().rev().find(meant) {
            Some(frame) if out => frame.breaks.extend(last),
            Some(frame) => frame.continues.extend(last),
            None => self.lost = true,
        }
        Last::new()
    }
}
