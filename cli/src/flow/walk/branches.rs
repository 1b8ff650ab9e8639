//! What goes one way or another: `if`, `match`, and the arms of macros.

use super::macros::{self, Macro};
use super::{Last, Walk};
use crate::tokens::Token;

impl<'a> Walk<'a, '_> {
    pub(super) fn branch(&mut self, last: Last) -> Last {
        let condition = self.head(last);
        let mut after = self.block(condition.yes);
        if self.word() != Some("else") {
            after.extend(condition.no);
            return after;
        }
        self.at += 1;
        let other = match self.word() {
            Some("if") => {
                self.at += 1;
                self.branch(condition.no)
            }
            _ => self.block(condition.no),
        };
        after.extend(other);
        after
    }

    /// The arms between brackets: after each, what any of them leaves.
    pub(super) fn arms(&mut self, mut last: Last) -> Last {
        self.at += 1;
        let mut after = Last::new();
        loop {
            let mut entered = last.clone();
            loop {
                match self.peek() {
                    None | Some(Token::Arrow | Token::Sign('}' | ')' | ']')) => break,
                    Some(Token::Word("if")) => {
                        self.at += 1;
                        let guard = self.run(last.clone(), |token| token == Token::Arrow);
                        // The arms that follow are tried if it does not hold.
                        last.extend(guard.no);
                        entered = guard.yes;
                    }
                    _ => self.skip_one(), // a pattern
                }
            }
            if self.lost || self.peek() != Some(Token::Arrow) {
                break;
            }
            self.at += 1;
            after.extend(self.arm(entered));
        }
        self.at += 1;
        after
    }

    fn arm(&mut self, last: Last) -> Last {
        let left = match (self.peek(), self.sign()) {
            (_, Some('{')) => self.block(last),
            (
                Some(Token::Word(word @ ("if" | "match" | "loop" | "while" | "for" | "unsafe"))),
                _,
            ) => self.keyword(word, last),
            _ => return self.expression(last),
        };
        // What follows a block, such as `.await` of it, belongs to the arm.
        match self.sign() {
            Some('.' | '?') => self.expression(left),
            _ => left,
        }
    }

    pub(super) fn invocation(&mut self, name: &'a str, mut last: Last) -> Last {
        let point = self.at;
        self.at += 2;
        let begin = self.at;
        // Alternatives, as `select!` has, or one expression behind the other.
        self.at += 1;
        let mut arms = false;
        while !matches!(self.peek(), None | Some(Token::Sign('}' | ')' | ']'))) {
            arms |= self.peek() == Some(Token::Arrow);
            self.skip_one();
        }
        let inside = begin..self.at.min(self.tokens.len());
        self.at = begin;
        let kind = macros::kind(name);
        let matters = self.is_point(point) || macros::matters(&self.tokens[inside]);
        if kind == Macro::Unknown && matters {
            self.macros.insert(name);
        }
        if arms {
            self.suspend(point, &mut last);
            return self.arms(last);
        }
        last = self.block(last);
        self.suspend(point, &mut last);
        match kind {
            Macro::Panics => Last::new(),
            Macro::Returns => {
                self.ends(&last);
                Last::new()
            }
            Macro::MayReturn => {
                self.ends(&last);
                last
            }
            Macro::Evaluates | Macro::Unknown => last,
        }
    }
}
