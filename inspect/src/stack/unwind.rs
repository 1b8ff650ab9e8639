//! Finds the calls on a stack.
//!
//! Compilers describe for each instruction where the caller's registers are, so that panics can unwind: this is in every program,
//! also without debug information. Here it is followed without running anything, from the registers of a function that does not
//! run any more, or for the moment.
//!
//! ```text
//!   registers ──> the file's index ──> a row: how far the frame reaches, where the return address is ──> registers of the caller ──> …
//!                                                     reads the stack through Memory
//! ```
//!
//! A stack may be anything. So each frame must reach further up the same stack, the number of frames is bounded, and words are read
//! from known stacks alone. A fiber that uses a generator waits on the stack of that: the lowest frame of a stack, which is
//! described as that of a signal handler, leads to another one.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::load::little;
use crate::memory::Memory;
use crate::stack::modules::{Module, modules};
use crate::stack::registers::Registers;
use crate::stack::rows::{Frame, LOST, Row, Table};

/// Frames on one stack.
const FRAMES: usize = 100;
/// What is read of a stack at once.
const WINDOW: u64 = 4096;

/// The calls on a stack, from the last one on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Trace {
    /// An address within each call.
    pub(crate) calls: Vec<u64>,
    /// Why there are no more; nothing if these are all.
    pub(crate) limit: Option<&'static str>,
}

/// The addresses that may be read as stacks, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stacks(Vec<Range<u64>>);

impl Stacks {
    pub(crate) fn new(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.sort_unstable_by_key(|range| range.start);
        Self(ranges)
    }

    /// The stack that an address is on, or the end of.
    pub(crate) fn of(&self, address: u64) -> Option<&Range<u64>> {
        let after = self.0.partition_point(|range| range.start <= address);
        self.0[..after].last().filter(|range| address <= range.end)
    }
}

/// Unwinds the stacks of this process.
#[derive(Default)]
pub(crate) struct Unwinder {
    /// Whether `modules` are those of this moment.
    fresh: bool,
    modules: Vec<Module>,
    /// What was read of the modules.
    tables: HashMap<usize, Option<Table>>,
    rows: HashMap<u64, Option<Arc<Row>>>,
}

impl Unwinder {
    /// Looks which files there are now. True if that is as before: what is known of addresses is still true.
    pub(crate) fn refresh(&mut self) -> bool {
        if self.fresh {
            return true;
        }
        let modules = modules();
        let same = modules == self.modules;
        if !same {
            *self = Self {
                modules,
                ..Self::default()
            };
        }
        self.fresh = true;
        same
    }

    /// Forgets what would have to be read again for other addresses only.
    pub(crate) fn rest(&mut self) {
        self.tables = HashMap::new();
        self.fresh = false;
    }

    /// The file that the code at an address belongs to.
    pub(crate) fn module(&self, address: u64) -> Option<&Module> {
        self.modules.iter().find(|module| module.runs(address))
    }

    /// The calls from these registers to the lowest one on the stack `own`.
    pub(crate) fn unwind(
        &mut self,
        memory: &dyn Memory,
        stacks: &Stacks,
        own: &Range<u64>,
        start: Registers,
    ) -> Trace {
        let mut trace = Trace {
            calls: Vec::new(),
            limit: None,
        };
        let limit = self.follow(memory, stacks, own, start, &mut trace.calls);
        trace.limit = limit.err();
        trace
    }

    fn follow(
        &mut self,
        memory: &dyn Memory,
        stacks: &Stacks,
        own: &Range<u64>,
        start: Registers,
        calls: &mut Vec<u64>,
    ) -> Result<(), &'static str> {
        let mut frame = Frame::new(start);
        let mut stack = stacks.of(start.stack_pointer).ok_or(LOST)?;
        let mut window = Window::new(memory);
        let mut interrupted = true;
        loop {
            let at = frame.at;
            // A call that returns to the next instruction is the one before; it may have been the last of its function.
            let address = match interrupted {
                true => at.program_counter,
                false => at.program_counter.wrapping_sub(1),
            };
            let Some(row) = self.row(address) else {
                calls.push(address);
                return Err(
                    "its other calls cannot be told: nothing describes how this one returns",
                );
            };
            if row.signal && stack == own {
                return Ok(());
            }
            if calls.len() == FRAMES {
                return Err("it has more calls than are looked at");
            }
            if !row.signal {
                calls.push(address);
            }
            window.limits = stack.clone();
            let Some(next) = row.caller(&frame, &mut window, stacks)? else {
                return Ok(());
            };
            let reached = next.at.stack_pointer;
            if row.signal {
                stack = stacks.of(reached).ok_or(LOST)?;
            } else if reached <= at.stack_pointer || reached > stack.end {
                return Err(LOST);
            }
            interrupted = row.signal;
            frame = next;
        }
    }

    fn row(&mut self, address: u64) -> Option<Arc<Row>> {
        if let Some(known) = self.rows.get(&address) {
            return known.clone();
        }
        let number = self.modules.iter().position(|module| module.runs(address));
        let row = number.and_then(|number| {
            let module = &self.modules[number];
            let table = self.tables.entry(number);
            let table = table.or_insert_with(|| Table::read(module));
            table.as_mut()?.row(address)
        });
        let row = row.map(Arc::new);
        self.rows.insert(address, row.clone());
        row
    }
}

/// A part of a stack, read in pieces.
pub(crate) struct Window<'a> {
    memory: &'a dyn Memory,
    /// What may be read.
    pub(crate) limits: Range<u64>,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(memory: &'a dyn Memory) -> Self {
        Self {
            memory,
            limits: 0..0,
            start: 0,
            bytes: Vec::new(),
        }
    }

    pub(crate) fn word(&mut self, address: u64) -> Option<u64> {
        let end = address.checked_add(8)?;
        if !address.is_multiple_of(8) || address < self.limits.start || end > self.limits.end {
            return None;
        }
        let held = |window: &Self| {
            let offset = usize::try_from(address.checked_sub(window.start)?).ok()?;
            let bytes = window.bytes.get(offset..offset.checked_add(8)?)?;
            u64::try_from(little(bytes)).ok()
        };
        if let Some(word) = held(self) {
            return Some(word);
        }
        // Callers are further up. What is beyond may not be there to be read.
        for end in [self.limits.end.min(address.saturating_add(WINDOW)), end] {
            self.start = address;
            self.bytes.clear();
            self.bytes.resize(usize::try_from(end - address).ok()?, 0);
            if self.memory.read(address, &mut self.bytes) {
                return held(self);
            }
        }
        self.bytes.clear();
        None
    }
}
