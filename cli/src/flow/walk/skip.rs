//! What a walk passes over: patterns, types, and the bodies of others.

use super::Walk;
use crate::tokens::Token;

impl<'a> Walk<'a, '_> {
    /// Whether what comes now begins something, and does not stand between two operands.
    pub(super) fn begins_operand(&self) -> bool {
        let before = self.at.checked_sub(1).map(|at| self.tokens[at].0);
        match before {
            Some(Token::Word(word)) => matches!(
                word,
                "return" | "break" | "move" | "in" | "else" | "if" | "while" | "match" | "static"
            ),
            Some(Token::Sign(sign)) => !matches!(sign, ')' | ']' | '}' | '?' | '>'),
            Some(Token::Literal | Token::Label(_)) => false,
            Some(Token::Arrow | Token::Returns | Token::And | Token::Or) | None => true,
        }
    }

    /// A colon, with the types between angles that may follow two of them: commas in there end nothing.
    pub(super) fn path(&mut self) {
        self.at += 1;
        let is = |at: usize, sign| self.tokens.get(at).map(|one| one.0) == Some(Token::Sign(sign));
        if !is(self.at, ':') || !is(self.at + 1, '<') {
            return;
        }
        self.at += 1;
        let mut depth = 0usize;
        while let Some(token) = self.peek() {
            match token {
                Token::Sign('<') => depth += 1,
                Token::Sign('>') => depth -= 1,
                Token::Sign('}' | ')' | ']' | ';') => return,
                _ => {}
            }
            self.skip_one();
            if depth == 0 {
                return;
            }
        }
    }

    /// A token, or everything between brackets.
    pub(super) fn skip_one(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.sign() {
                Some('{' | '(' | '[') => depth += 1,
                Some('}' | ')' | ']') => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 || self.peek().is_none() {
                return;
            }
        }
    }

    /// A pattern with its type, which may have brackets of any kind, to behind what ends it. Nothing if there is no such end:
    /// a declaration without a value.
    pub(super) fn skip_pattern(&mut self, end: fn(Token<'a>) -> bool) {
        let begin = self.at;
        let mut before = None;
        while let Some(token) = self.peek() {
            // The sign of a range, `..=`, ends nothing.
            if end(token) && before != Some(Token::Sign('.')) {
                self.at += 1;
                return;
            }
            if matches!(token, Token::Sign(';' | '}' | ')' | ']')) {
                break;
            }
            self.skip_one();
            before = Some(token);
        }
        self.at = begin;
    }

    /// A closure, from its first bar to the end of its body: what it does is its own.
    pub(super) fn skip_closure(&mut self) {
        if self.peek() == Some(Token::Or) {
            self.at += 1;
        } else {
            self.skip_until(|token| token == Token::Sign('|'));
        }
        if self.peek() == Some(Token::Returns) {
            self.skip_until(|token| token == Token::Sign('{'));
            self.at -= 1;
            return self.skip_one();
        }
        while !matches!(
            self.peek(),
            None | Some(Token::Sign(',' | ';' | '}' | ')' | ']'))
        ) {
            match self.sign() {
                Some(':') => self.path(),
                _ => self.skip_one(),
            }
        }
    }

    /// An `async` block, closure or function, without its first word.
    pub(super) fn skip_async(&mut self) {
        if self.word() == Some("move") {
            self.at += 1;
        }
        match self.peek() {
            Some(Token::Sign('{')) => self.skip_one(),
            Some(Token::Sign('|') | Token::Or) => self.skip_closure(),
            _ => self.skip_item(),
        }
    }

    /// A function or another item, without its first word: to the end of its body.
    pub(super) fn skip_item(&mut self) {
        while !matches!(self.sign(), Some('{' | ';' | '}')) && self.peek().is_some() {
            self.skip_one();
        }
        if self.sign() == Some('{') {
            self.skip_one();
        }
    }

    /// To behind the next token of a kind that is not between brackets.
    fn skip_until(&mut self, end: fn(Token<'a>) -> bool) {
        self.at += 1;
        while self.peek().is_some_and(|token| !end(token)) {
            self.skip_one();
        }
        self.at += 1;
    }
}
