//! Who made whom ready, found out from how far the ready ring had been filled and emptied.
//!
//! The ring is first in, first out, and counts all entries. A poll takes the entry of one number, and what the ring has
//! gained when it is over was made ready by it; what it has gained between two polls, by somebody who is marked. So nothing
//! is noted when a task is woken, and here two lists that grow are read side by side.

use super::recorder::{Mark, Recorder};

/// Who made an entry ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A poll, by its place among those that are kept.
    Poll(usize),
    /// Somebody who is marked, before the poll at a place.
    Mark(u8, usize),
    /// A poll that is not kept.
    Unknown,
}

/// A poll: how many entries of the ring had been taken when it was over, its own as the last, and how many there had been.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) popped: u32,
    pub(super) pushed: u32,
}

impl Recorder {
    /// Who made each of the last polls ready, of which there are no more than so many.
    pub(super) fn causes(&self, most: usize) -> Vec<Cause> {
        let turns: Vec<_> = self.polls.records(most).map(|record| record.turn).collect();
        let first = self.polls.total() - turns.len() as u64;
        let marks: Vec<_> = self.marks().collect();
        let origin = (first == 0).then_some(self.origin);
        causes(&turns, super::recorder::low(first), &marks, origin)
    }
}

/// Who made each of the polls ready. `first` is the number of the first of them; `origin` is what the ring had gained
/// before it, if that is known.
fn causes(turns: &[Turn], first: u32, marks: &[Mark], origin: Option<u32>) -> Vec<Cause> {
    let base = turns.first().map_or(0, |turn| turn.popped.wrapping_sub(1));
    // Entries that are there at the same time are never as many as half of what a number can count.
    let from_base = |number: u32| i64::from(number.wrapping_sub(base).cast_signed());
    let mut ends: Vec<(i64, Cause)> = Vec::with_capacity(turns.len() + marks.len());
    let mut marks = marks.iter().peekable();
    for (place, turn) in turns.iter().enumerate() {
        let number = first.wrapping_add(u32::try_from(place).unwrap_or(u32::MAX));
        while let Some(mark) =
            marks.next_if(|mark| mark.poll.wrapping_sub(number).cast_signed() <= 0)
        {
            if mark.poll == number {
                ends.push((from_base(mark.pushed), Cause::Mark(mark.who, place)));
            }
        }
        ends.push((from_base(turn.pushed), Cause::Poll(place)));
    }
    // Where the first of these begins is not known unless nothing was before.
    let known = match (origin, ends.first()) {
        (Some(origin), _) => from_base(origin),
        (None, Some((end, _))) => *end,
        (None, None) => 0,
    };
    let mut at = 0;
    let cause = |turn: &Turn| {
        let entry = from_base(turn.popped.wrapping_sub(1));
        while ends.get(at).is_some_and(|(end, _)| *end <= entry) {
            at += 1;
        }
        match ends.get(at) {
            Some((_, cause)) if entry >= known => *cause,
            _ => Cause::Unknown,
        }
    };
    turns.iter().map(cause).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A queue whose entries say who made them ready is told the same, wherever the record of it begins.
        #[test]
        fn a_queue_that_names_its_sources_agrees(
            steps in proptest::collection::vec((0u32..4, any::<bool>(), 0u32..3), 1..200),
            lost in 0usize..150,
            base in any::<u32>(),
        ) {
            let (mut queue, mut turns, mut marks, mut expected) = (VecDeque::new(), Vec::new(), Vec::new(), Vec::new());
            let (mut popped, mut pushed) = (base, base);
            for (gained, between, more) in steps {
                if between && more > 0 {
                    pushed = pushed.wrapping_add(more);
                    let poll = u32::try_from(turns.len()).unwrap();
                    queue.extend((0..more).map(|_| Cause::Mark(1, turns.len())));
                    marks.push(Mark { pushed, poll, who: 1 });
                }
                let Some(cause) = queue.pop_front() else { continue };
                expected.push(cause);
                queue.extend((0..gained).map(|_| Cause::Poll(turns.len())));
                pushed = pushed.wrapping_add(gained);
                popped = popped.wrapping_add(1);
                turns.push(Turn { popped, pushed });
            }
            prop_assert_eq!(causes(&turns, 0, &marks, Some(base)), expected.clone());
            let lost = lost.min(turns.len());
            let told = causes(&turns[lost..], u32::try_from(lost).unwrap(), &marks, None);
            for (told, expected) in told.iter().zip(&expected[lost..]) {
                let same = match (*told, *expected) {
                    (Cause::Poll(told), Cause::Poll(expected)) => told + lost == expected,
                    (Cause::Mark(told, place), Cause::Mark(expected, at)) => told == expected && place + lost == at,
                    (Cause::Unknown, _) => true,
                    _ => false,
                };
                prop_assert!(same, "{told:?} {expected:?}");
            }
            // What a poll caused that is kept, but for the first of all, is known.
            for (told, expected) in told.iter().zip(&expected[lost..]) {
                if matches!(expected, Cause::Poll(place) if *place > lost) {
                    prop_assert_ne!(*told, Cause::Unknown);
                }
            }
        }
    }
}
