//! The servers, and the client that is the same for all.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use camshaft::fiber::{self, Fiber};
use pin_project_lite::pin_project;

use super::line::Line;
use crate::experiment::{Outcome, Setting};
use crate::measure::{Metric, repeat};
use crate::models::stacks::Stacks;
use crate::models::switch::bare::Bare;
use crate::twice::twice;

/// What we speak.
const VERSION: u64 = 3;
/// Numbers between two looks at the clock, at least.
const NUMBERS: u64 = 1000;
twice! {
    /// The first way, and the third.
    fn serve(line: Line) {
        let version = wait!(line.receive());
        line.answer(version.min(VERSION));
        loop {
            let count = wait!(line.receive());
            if count == 0 {
                return;
            }
            let mut sum = 0;
            for _ in 0..count {
                sum += wait!(line.receive());
            }
            line.answer(sum);
        }
    }
}

pin_project! {
    /// The second way.
    #[project = ServerProjection]
    struct Server {
        line: Line,
        state: State,
    }
}

enum State {
    Greeting,
    Idle,
    Adding { left: u64, sum: u64 },
}

impl Server {
    fn new(line: Line) -> Self {
        Self {
            line,
            state: State::Greeting,
        }
    }
}

impl Future for Server {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let ServerProjection { line, state } = self.project();
        loop {
            let number = ready!(line.poll_receive());
            match state {
                State::Greeting => {
                    line.answer(number.min(VERSION));
                    *state = State::Idle;
                }
                State::Idle if number == 0 => return Poll::Ready(()),
                State::Idle => {
                    *state = State::Adding {
                        left: number,
                        sum: 0,
                    };
                }
                State::Adding { left, sum } => {
                    *sum += number;
                    *left -= 1;
                    if *left == 0 {
                        line.answer(*sum);
                        *state = State::Idle;
                    }
                }
            }
        }
    }
}

/// A server of any kind, and how often it was polled.
pub(super) struct Conversation {
    line: Line,
    server: Pin<Box<dyn Future<Output = ()>>>,
    pub(super) polls: u64,
}

impl Conversation {
    /// Polls the server for the first time, and greets it.
    fn begin<F: Future<Output = ()> + 'static>(serve: impl FnOnce(Line) -> F) -> Self {
        let line = Line::default();
        let mut conversation = Self {
            server: Box::pin(serve(line.clone())),
            line,
            polls: 0,
        };
        let first = conversation.poll();
        conversation.tell(VERSION + 1);
        let answer = conversation.line.hear();
        assert_eq!((first, answer), (Poll::Pending, Some(VERSION)));
        conversation
    }

    /// The one that is called so.
    pub(super) fn with(way: &str) -> Option<Self> {
        match way {
            super::ASYNC => Some(Self::begin(serve::task)),
            super::BY_HAND => Some(Self::begin(Server::new)),
            "fiber" => Some(Self::begin(|line| Fiber::new(|| serve::fiber(line)))),
            _ => None,
        }
    }

    #[inline]
    fn poll(&mut self) -> Poll<()> {
        self.polls += 1;
        let mut context = Context::from_waker(Waker::noop());
        self.server.as_mut().poll(&mut context)
    }

    #[inline]
    fn tell(&mut self, number: u64) {
        self.line.say(number);
        let poll = self.poll();
        debug_assert!(poll.is_pending() || number == 0);
    }

    /// One request.
    #[inline]
    pub(super) fn ask(&mut self, count: u64) -> Option<u64> {
        self.tell(count);
        (1..=count).for_each(|number| self.tell(number));
        self.line.hear()
    }

    /// The end of it.
    fn end(mut self) {
        self.line.say(0);
        assert!(self.poll().is_ready(), "zero is a farewell");
    }
}

/// Asks until the time is over.
fn converse(setting: Setting, way: &str) -> anyhow::Result<Outcome> {
    let mut conversation = Conversation::with(way).expect("a way that there is");
    let rounds = NUMBERS.div_ceil(setting.at);
    conversation.polls = 0;
    let mut requests = 0;
    let sample = repeat(setting, || {
        for _ in 0..rounds {
            let sum = conversation.ask(setting.at);
            assert_eq!(sum, Some(setting.at * (setting.at + 1) / 2));
        }
        requests += rounds;
        rounds
    });
    // Nobody but a fiber has a stack.
    let size = size_of_val(&*conversation.server) + fiber::census().deepest;
    let polls = conversation.polls as f64 / requests as f64;
    conversation.end();
    Ok(sample
        .with(Metric::Size, size as f64)
        .with(Metric::Polls, polls)
        .into())
}

pub(super) fn stackless(setting: Setting) -> anyhow::Result<Outcome> {
    converse(setting, super::ASYNC)
}

pub(super) fn by_hand(setting: Setting) -> anyhow::Result<Outcome> {
    converse(setting, super::BY_HAND)
}

pub(super) fn stackful(setting: Setting) -> anyhow::Result<Outcome> {
    converse(setting, "fiber")
}

/// The protocol on a stack, without futures: the least that the third way can cost.
pub(super) fn bare(setting: Setting) -> anyhow::Result<Outcome> {
    let line = Line::default();
    let ours = line.clone();
    let mut server = Bare::new(&mut Stacks::new(), move |client| {
        let receive = || {
            loop {
                match line.poll_receive() {
                    Poll::Ready(number) => return number,
                    Poll::Pending => client.suspend(()),
                }
            }
        };
        line.answer(receive().min(VERSION));
        loop {
            let count = receive();
            if count == 0 {
                return;
            }
            let mut sum = 0;
            for _ in 0..count {
                sum += receive();
            }
            line.answer(sum);
        }
    })?;
    let resumes = Cell::new(0_u64);
    let mut tell = |number| {
        ours.say(number);
        server.next();
        resumes.set(resumes.get() + 1);
    };
    tell(VERSION + 1);
    let rounds = NUMBERS.div_ceil(setting.at);
    let mut requests = 0;
    resumes.set(0);
    let sample = repeat(setting, || {
        for _ in 0..rounds {
            tell(setting.at);
            (1..=setting.at).for_each(&mut tell);
            assert_eq!(ours.hear(), Some(setting.at * (setting.at + 1) / 2));
        }
        requests += rounds;
        rounds
    });
    let polls = resumes.get() as f64 / requests as f64;
    Ok(sample.with(Metric::Polls, polls).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_say_the_same() {
        for way in [super::super::ASYNC, super::super::BY_HAND, "fiber"] {
            let mut conversation = Conversation::with(way).unwrap();
            assert_eq!(conversation.ask(4), Some(10), "{way}");
            assert_eq!(conversation.ask(1), Some(1), "{way}");
            // The first poll, the greeting, and each number with its count.
            assert_eq!(conversation.polls, 2 + 5 + 2, "{way}");
            conversation.end();
        }
    }
}
