//! The walk over the tokens of a body: what may have been the last state, at each of them.

mod branches;
mod loops;
mod macros;
mod skip;

use std::collections::{BTreeMap, BTreeSet};

use self::loops::Frame;
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

pub(super) struct Walk<'a, 't> {
    tokens: &'t Tokens<'a>,
    /// The token of each await.
    points: Vec<usize>,
    at: usize,
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
}
