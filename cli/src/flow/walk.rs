//! The walk over the tokens of a body: what may have been the last state, at each of them.

use std::collections::{BTreeMap, BTreeSet};

use super::macros::{self, Macro};
use super::{Edge, Flow, Node, Tokens, is_macro};
use crate::tokens::Token;

type Last = BTreeSet<Node>;

/// What may have been the last state after a condition, if it holds and if it does not.
struct Condition {
    yes: Last,
    no: Last,
}

impl Condition {
    fn either(mut self) -> Last {
        self.yes.append(&mut self.no);
        self.yes
    }
}

/// A loop, or a block with a label, that can be left from inside.
struct Frame<'a> {
    label: Option<&'a str>,
    /// Whether a `break` without a label may mean it.
    is_loop: bool,
    breaks: Last,
    continues: Last,
}

pub(super) struct Walk<'a, 't> {
    pub(super) tokens: &'t Tokens<'a>,
    /// The token of each await.
    points: Vec<usize>,
    pub(super) at: usize,
    /// The words that were met.
    words: BTreeSet<usize>,
    edges: BTreeSet<Edge>,
    frames: Vec<Frame<'a>>,
    /// Macros of which it is not known what they do.
    macros: BTreeSet<&'a str>,
    /// Whether something was met that this does not understand.
    lost: bool,
    depth: usize,
    /// What the rounds of each loop that was walked leave, by where it begins.
    rounds: BTreeMap<usize, Last>,
}

impl<'a, 't> Walk<'a, 't> {
    /// Walks a body that begins at a token, and returns the transitions; none if there is something that is not understood.
    pub(super) fn run_body(
        tokens: &'t Tokens<'a>,
        start: usize,
        points: Vec<usize>,
    ) -> Option<Flow> {
        let mut walk = Self::new(tokens, start, points);
        walk.run_all();
        (!walk.lost).then(|| Flow {
            edges: walk.edges.into_iter().collect(),
            macros: walk.macros.into_iter().map(str::to_owned).collect(),
        })
    }

    /// The words of a body that are not in the bodies of others.
    pub(super) fn own(tokens: &'t Tokens<'a>, start: usize) -> BTreeSet<usize> {
        let mut walk = Self::new(tokens, start, Vec::new());
        walk.run_all();
        walk.words
    }

    fn new(tokens: &'t Tokens<'a>, start: usize, points: Vec<usize>) -> Self {
        Self {
            tokens,
            points,
            at: start,
            words: BTreeSet::new(),
            edges: BTreeSet::new(),
            frames: Vec::new(),
            macros: BTreeSet::new(),
            lost: false,
            depth: 0,
            rounds: BTreeMap::new(),
        }
    }

    fn run_all(&mut self) {
        let first = Last::from([Node::Start]);
        let last = match self.sign() {
            Some('{') => self.block(first),
            _ => self.expression(first), // a closure without a block
        };
        self.ends(&last);
    }

    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).map(|token| token.0)
    }

    pub(super) fn sign(&self) -> Option<char> {
        match self.peek()? {
            Token::Sign(sign) => Some(sign),
            _ => None,
        }
    }

    pub(super) fn word(&self) -> Option<&'a str> {
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

    fn is_point(&self, at: usize) -> bool {
        self.points.contains(&at)
    }

    /// Goes on from what may have been the last state to the await at a token, if there is one.
    fn suspend(&mut self, at: usize, last: &mut Last) {
        self.words.insert(at);
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
        last.either()
    }

    /// Up to what ends an expression.
    fn expression(&mut self, last: Last) -> Last {
        self.run(last, |token| matches!(token, Token::Sign(',' | ';')))
            .either()
    }

    /// Up to the block that a head such as that of a loop is followed by.
    fn head(&mut self, mut last: Last) -> Condition {
        if self.sign() == Some('{') {
            last = self.block(last); // it begins with a block of its own
        }
        self.run(last, |token| token == Token::Sign('{'))
    }

    /// Up to a token that stops it, or to the bracket that closes what is around.
    fn run(&mut self, mut last: Last, stop: fn(Token<'a>) -> bool) -> Condition {
        self.depth += 1;
        if self.depth > 100 {
            self.lost = true;
        }
        // `&&` binds closer than `||`: what has made alternatives true, and what has made the present one false.
        let (mut yes, mut no) = (Last::new(), Last::new());
        while !self.lost {
            match self.peek() {
                None | Some(Token::Sign('}' | ')' | ']')) => break,
                Some(token) if stop(token) => break,
                Some(Token::Sign('|') | Token::Or) if self.begins_operand() => self.skip_closure(),
                Some(Token::And) if !self.begins_operand() => {
                    self.at += 1;
                    no.extend(&last);
                }
                Some(Token::Or) => {
                    self.at += 1;
                    yes.extend(&last);
                    last.append(&mut no);
                }
                Some(Token::Sign(',' | ';')) => {
                    self.at += 1;
                    last.append(&mut yes);
                    last.append(&mut no);
                }
                Some(Token::Word("else")) => {
                    last.append(&mut yes);
                    last.append(&mut no);
                    last = self.keyword("else", last);
                }
                Some(Token::Word(word)) => last = self.keyword(word, last),
                Some(Token::Sign('{' | '(' | '[')) => last = self.block(last),
                Some(Token::Sign('?')) => {
                    self.at += 1;
                    self.ends(&last);
                }
                Some(Token::Sign(':')) => self.path(),
                Some(Token::Label(label)) => last = self.labelled(label, last),
                Some(_) => self.at += 1,
            }
        }
        self.depth -= 1;
        yes.extend(&last);
        no.extend(&last);
        Condition { yes, no }
    }

    fn keyword(&mut self, word: &'a str, mut last: Last) -> Last {
        if is_macro(self.tokens, self.at) {
            return self.invocation(word, last);
        }
        self.suspend(self.at, &mut last);
        self.at += 1;
        match word {
            "let" => {
                self.skip_pattern(|token| token == Token::Sign('='));
                match self.sign() {
                    // In a head, the next bracket that begins a block is the body's.
                    Some('{') => self.block(last),
                    _ => last,
                }
            }
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
                let last = self.head(last).either();
                self.arms(last)
            }
            "return" => {
                let last = self.expression(last);
                self.ends(&last);
                Last::new()
            }
            "break" | "continue" => self.jump(word == "break", last),
            // In a head, where another bracket would end it.
            "unsafe" if self.sign() == Some('{') => self.block(last),
            // What another state machine, function or item does is its own.
            "async" => {
                self.skip_async();
                last
            }
            "fn" if self.sign() != Some('(') => {
                self.skip_item();
                last
            }
            "impl" | "trait" | "mod" | "struct" | "enum" | "macro_rules" => {
                self.skip_item();
                last
            }
            _ => last,
        }
    }

    /// A label before a loop or a block.
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

    fn repeat(&mut self, word: &str, label: Option<&'a str>, last: Last) -> Last {
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

    fn branch(&mut self, last: Last) -> Last {
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
    fn arms(&mut self, mut last: Last) -> Last {
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

    fn jump(&mut self, out: bool, last: Last) -> Last {
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

    fn invocation(&mut self, name: &'a str, mut last: Last) -> Last {
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
