//! The walk over the tokens of a body: what may have been the last state, at each of them.

use std::collections::BTreeSet;

use super::{Edge, Node, Tokens, is_macro};
use crate::tokens::Token;

type Last = BTreeSet<Node>;

struct Loop<'a> {
    label: Option<&'a str>,
    breaks: Last,
    continues: Last,
}

pub(super) struct Walk<'a, 't> {
    tokens: &'t Tokens<'a>,
    /// The token of each await.
    points: Vec<usize>,
    at: usize,
    edges: BTreeSet<Edge>,
    loops: Vec<Loop<'a>>,
    /// Whether something was met that this does not understand.
    lost: bool,
    depth: usize,
}

impl<'a, 't> Walk<'a, 't> {
    /// Walks a body that begins at a token, and returns the transitions; none if there is something that is not understood.
    pub(super) fn run_body(
        tokens: &'t Tokens<'a>,
        start: usize,
        points: Vec<usize>,
    ) -> Option<BTreeSet<Edge>> {
        let mut walk = Self {
            tokens,
            points,
            at: start,
            edges: BTreeSet::new(),
            loops: Vec::new(),
            lost: false,
            depth: 0,
        };
        let first = Last::from([Node::Start]);
        let last = match walk.sign() {
            Some('{') => walk.block(first),
            _ => walk.expression(first), // a closure without a block
        };
        walk.ends(&last);
        (!walk.lost).then_some(walk.edges)
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).map(|token| token.0)
    }

    fn sign(&self) -> Option<char> {
        match self.peek()? {
            Token::Sign(sign) => Some(sign),
            _ => None,
        }
    }

    fn word(&self) -> Option<&'a str> {
        match self.peek()? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn label(&self) -> Option<&'a str> {
        match self.peek()? {
            Token::Label(label) => Some(label),
            _ => None,
        }
    }

    fn suspend(&mut self, last: &mut Last) {
        let at = self.at;
        if let Some(number) = self.points.iter().position(|point| *point == at) {
            let node = Node::Await(number);
            self.edges.extend(last.iter().map(|from| (*from, node)));
            if !last.is_empty() {
                *last = Last::from([node]);
            }
        }
    }

    fn ends(&mut self, last: &Last) {
        self.edges
            .extend(last.iter().map(|from| (*from, Node::End)));
    }

    /// From one bracket to the one that closes it.
    fn block(&mut self, last: Last) -> Last {
        self.at += 1;
        let last = self.run(last, |_| false);
        self.at += 1;
        last
    }

    /// Up to what ends an expression.
    fn expression(&mut self, last: Last) -> Last {
        self.run(last, |token| matches!(token, Token::Sign(',' | ';')))
    }

    /// Up to the block that a head such as that of a loop is followed by.
    fn head(&mut self, last: Last) -> Last {
        self.run(last, |token| token == Token::Sign('{'))
    }

    /// Up to a token that stops it, or to the bracket that closes what is around.
    fn run(&mut self, mut last: Last, stop: fn(Token<'a>) -> bool) -> Last {
        self.depth += 1;
        if self.depth > 100 {
            self.lost = true;
        }
        while !self.lost {
            match self.peek() {
                None | Some(Token::Sign('}' | ')' | ']')) => break,
                Some(token) if stop(token) => break,
                Some(Token::Word(word)) => last = self.keyword(word, last),
                Some(Token::Sign('{' | '(' | '[')) => last = self.block(last),
                Some(Token::Sign('?')) => {
                    self.at += 1;
                    self.ends(&last);
                }
                Some(Token::Label(label)) => last = self.labelled(label, last),
                Some(_) => self.at += 1,
            }
        }
        self.depth -= 1;
        last
    }

    fn keyword(&mut self, word: &'a str, mut last: Last) -> Last {
        self.suspend(&mut last);
        if is_macro(self.tokens, self.at) {
            return self.invocation(word, last);
        }
        self.at += 1;
        match word {
            "loop" | "while" => self.repeat(word, None, last),
            "for" if self.sign() != Some('<') => self.repeat(word, None, last),
            "if" => self.branch(last),
            // That of `let … else`; one that belongs to an `if` is seen with it.
            "else" if self.sign() == Some('{') => {
                let mut other = self.block(last.clone());
                other.append(&mut last);
                other
            }
            "match" => {
                let last = self.head(last);
                self.arms(&last)
            }
            "return" => {
                let last = self.expression(last);
                self.ends(&last);
                Last::new()
            }
            "break" | "continue" => self.jump(word == "break", last),
            // What another state machine or function does is its own.
            "async" => {
                self.skip_other();
                last
            }
            "fn" if self.sign() != Some('(') => {
                self.skip_other();
                last
            }
            _ => last,
        }
    }

    /// A label before a loop.
    fn labelled(&mut self, label: &'a str, last: Last) -> Last {
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
            _ => {
                self.lost |= self.sign() == Some('{'); // a block that can be left
                last
            }
        }
    }

    fn repeat(&mut self, word: &str, label: Option<&'a str>, last: Last) -> Last {
        // What a `for` loop runs over is evaluated once, the condition of a `while` loop each time.
        let mut before = match word {
            "for" => self.head(last),
            _ => last,
        };
        let begin = self.at;
        let mut after = Last::new();
        // What holds after one round holds after any number of them, so the second says everything.
        for _ in 0..2 {
            self.at = begin;
            let entered = self.head(before.clone());
            if word != "loop" {
                after.extend(&entered);
            }
            self.loops.push(Loop {
                label,
                breaks: Last::new(),
                continues: Last::new(),
            });
            let round = self.block(entered);
            let Some(frame) = self.loops.pop() else {
                break;
            };
            after.extend(&frame.breaks);
            before.extend(round.iter().chain(&frame.continues));
        }
        if word == "for" {
            after.extend(&before);
        }
        after
    }

    fn branch(&mut self, last: Last) -> Last {
        let entered = self.head(last);
        let mut after = self.block(entered.clone());
        if self.word() != Some("else") {
            after.extend(entered);
            return after;
        }
        self.at += 1;
        let other = match self.word() {
            Some("if") => {
                self.at += 1;
                self.branch(entered)
            }
            _ => self.block(entered),
        };
        after.extend(other);
        after
    }

    /// The arms between brackets: after each, what any of them leaves.
    fn arms(&mut self, last: &Last) -> Last {
        self.at += 1;
        let mut after = Last::new();
        loop {
            while !matches!(
                self.peek(),
                None | Some(Token::Arrow | Token::Sign('}' | ')' | ']'))
            ) {
                self.skip_one(); // a pattern
            }
            if self.lost || self.peek() != Some(Token::Arrow) {
                break;
            }
            self.at += 1;
            let left = match self.sign() {
                Some('{') => {
                    let left = self.block(last.clone());
                    // What follows a block, such as `.await` of it, belongs to the arm.
                    if matches!(self.sign(), Some('.' | '?')) {
                        self.expression(left)
                    } else {
                        left
                    }
                }
                _ => self.expression(last.clone()),
            };
            after.extend(left);
        }
        self.at += 1;
        after
    }

    fn jump(&mut self, out: bool, last: Last) -> Last {
        let label = self.label();
        if label.is_some() {
            self.at += 1;
        }
        let last = self.expression(last);
        let mut frames = self.loops.iter_mut().rev();
        match frames.find(|frame| label.is_none() || frame.label == label) {
            Some(frame) if out => frame.breaks.extend(last),
            Some(frame) => frame.continues.extend(last),
            None => self.lost = true,
        }
        Last::new()
    }

    fn invocation(&mut self, name: &str, last: Last) -> Last {
        self.at += 2;
        let begin = self.at;
        // Alternatives, as `select!` has, or one expression behind the other.
        self.at += 1;
        let mut arms = false;
        while !matches!(self.peek(), None | Some(Token::Sign('}' | ')' | ']'))) {
            arms |= self.peek() == Some(Token::Arrow);
            self.skip_one();
        }
        self.at = begin;
        let last = if arms {
            self.arms(&last)
        } else {
            self.block(last)
        };
        match name {
            "panic" | "unreachable" | "todo" | "unimplemented" => Last::new(),
            _ => last,
        }
    }

    /// A token, or everything between brackets.
    fn skip_one(&mut self) {
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

    /// An inner function, or an `async` block or closure: to the end of its body.
    fn skip_other(&mut self) {
        let mut bars = 0;
        loop {
            match self.peek() {
                Some(Token::Sign('{')) => return self.skip_one(),
                Some(Token::Sign('|')) => bars += 1,
                None | Some(Token::Sign(';' | ',' | '}' | ')' | ']')) if bars != 1 => return,
                None => return,
                Some(_) => {}
            }
            self.skip_one();
        }
    }
}
