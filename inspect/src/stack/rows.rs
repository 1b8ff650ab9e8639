//! What a file says of each of its instructions: where the registers of the caller are.

use std::sync::Arc;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, EvaluationResult,
    Expression, LittleEndian, Location, Register, RegisterRule, UnwindContext, UnwindExpression,
    UnwindSection as _, Value,
};

use crate::memory::{Memory as _, OwnMemory};
use crate::stack::modules::Module;
use crate::stack::registers::{MACHINE, Registers};
use crate::stack::unwind::{Stacks, Window};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The largest description of a file's functions.
const LARGEST: u64 = 256 << 20;
/// Operations of one expression.
const OPERATIONS: u32 = 1000;

/// Why there are no more calls: what a file says does not fit the stack.
pub(crate) const LOST: &str =
    "its other calls cannot be told: the stack is not as the program describes it";
/// Why there are no more calls: a file may be right, and more would have to be followed than is.
const ELSEWHERE: &str =
    "its other calls cannot be told: one of them keeps a register where this is not looked for";

/// How to find the caller of a function that is at a certain instruction.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The end of the frame.
    end: End,
    frame: Rule,
    counter: Rule,
    /// Whether what has called this function was interrupted anywhere, or another stack goes on.
    pub(crate) signal: bool,
}

#[derive(Clone, Debug)]
enum End {
    Register(Register, i64),
    Expression(Program),
}

/// An expression that is evaluated for each call.
#[derive(Clone, Debug)]
struct Program(Encoding, Arc<[u8]>);

/// Where a call is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) at: Registers,
    /// Why its frame pointer is not known, if it is not: many functions do not need it.
    unknown: Option<&'static str>,
}

/// What a register of the caller is.
#[derive(Clone, Debug)]
enum Rule {
    Same,
    /// It is there from the end of the frame.
    Saved(i64),
    /// It is so far from the end of the frame.
    Sum(i64),
    /// It is where this says.
    SavedAt(Program),
    /// It is what this says.
    Value(Program),
    /// There is no caller.
    Undefined,
    Unknown,
}

impl Row {
    /// Where the caller is; nothing if there is none, and if it cannot be told, why.
    pub(crate) fn caller(
        &self,
        frame: &Frame,
        window: &mut Window<'_>,
        stacks: &Stacks,
    ) -> Result<Option<Frame>, &'static str> {
        let end = match &self.end {
            End::Register(register, offset) => {
                let value = frame.value(*register)?;
                value.checked_add_signed(*offset).ok_or(LOST)?
            }
            End::Expression(program) => program.evaluate(None, frame, window)?,
        };
        if self.signal {
            // What goes on there was left there.
            window.limits = stacks.of(end).ok_or(LOST)?.clone();
        }
        if matches!(self.counter, Rule::Undefined) {
            return Ok(None);
        }
        let program_counter = self.counter.find(frame, end, window, Ok(frame.at.link))?;
        if program_counter == 0 {
            return Ok(None);
        }
        let same = frame.value(MACHINE.frame);
        let frame_pointer = self.frame.find(frame, end, window, same);
        Ok(Some(Frame {
            at: Registers {
                program_counter,
                stack_pointer: end,
                frame_pointer: frame_pointer.unwrap_or(0),
                link: 0,
            },
            unknown: frame_pointer.err(),
        }))
    }
}

impl Rule {
    /// What the register is in the caller of a call whose frame ends there. `same` is what it is in the call itself.
    fn find(
        &self,
        frame: &Frame,
        end: u64,
        window: &mut Window<'_>,
        same: Result<u64, &'static str>,
    ) -> Result<u64, &'static str> {
        match self {
            Self::Same => same,
            Self::Saved(offset) => {
                let place = end.checked_add_signed(*offset);
                place.and_then(|place| window.word(place)).ok_or(LOST)
            }
            Self::Sum(offset) => end.checked_add_signed(*offset).ok_or(LOST),
            Self::SavedAt(program) => {
                let place = program.evaluate(Some(end), frame, window)?;
                window.word(place).ok_or(LOST)
            }
            Self::Value(program) => program.evaluate(Some(end), frame, window),
            Self::Undefined | Self::Unknown => Err(ELSEWHERE),
        }
    }
}

impl Frame {
    /// The one to begin with.
    pub(crate) fn new(at: Registers) -> Self {
        Self { at, unknown: None }
    }

    fn value(&self, register: Register) -> Result<u64, &'static str> {
        match register {
            register if register == MACHINE.stack => Ok(self.at.stack_pointer),
            register if register == MACHINE.frame => {
                self.unknown.map_or(Ok(self.at.frame_pointer), Err)
            }
            register if register == MACHINE.counter && cfg!(target_arch = "x86_64") => {
                Ok(self.at.program_counter)
            }
            _ => Err(ELSEWHERE),
        }
    }
}

impl Program {
    /// The address that it comes to, beginning with one, if any: the end of the frame, where that is known.
    fn evaluate(
        &self,
        begin: Option<u64>,
        frame: &Frame,
        window: &mut Window<'_>,
    ) -> Result<u64, &'static str> {
        let Self(encoding, bytes) = self;
        let mut evaluation = Expression(Bytes::new(bytes, LittleEndian)).evaluation(*encoding);
        evaluation.set_max_iterations(OPERATIONS);
        if let Some(begin) = begin {
            evaluation.set_initial_value(begin);
        }
        let bad = |_| LOST;
        let mut state = evaluation.evaluate().map_err(bad)?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = Value::Generic(frame.value(register)?);
                    evaluation.resume_with_register(value).map_err(bad)?
                }
                EvaluationResult::RequiresMemory {
                    address, size: 8, ..
                } => {
                    let value = Value::Generic(window.word(address).ok_or(LOST)?);
                    evaluation.resume_with_memory(value).map_err(bad)?
                }
                _ => return Err(ELSEWHERE),
            };
        }
        match evaluation.result().first().map(|piece| piece.location) {
            Some(Location::Address { address }) => Ok(address),
            _ => Err(LOST),
        }
    }
}

/// What a file says of its functions.
pub(crate) struct Table {
    bases: BaseAddresses,
    index: Box<[u8]>,
    frames: Box<[u8]>,
    context: Box<UnwindContext<usize>>,
}

impl Table {
    pub(crate) fn read(module: &Module) -> Option<Self> {
        let copy = |from: u64| {
            let range = module.rest_of(from)?;
            let size = range.end - range.start;
            let mut bytes = vec![0; usize::try_from(size).ok().filter(|_| size <= LARGEST)?];
            OwnMemory
                .read(from, &mut bytes)
                .then(|| bytes.into_boxed_slice())
        };
        let bases = BaseAddresses::default().set_eh_frame_hdr(module.index);
        let index = copy(module.index)?;
        let header = EhFrameHdr::new(&index, LittleEndian).parse(&bases, 8);
        let start = header.ok()?.eh_frame_ptr().direct().ok()?;
        Some(Self {
            bases: bases.set_eh_frame(start),
            index,
            frames: copy(start)?,
            context: Box::default(),
        })
    }

    pub(crate) fn row(&mut self, address: u64) -> Option<Row> {
        let index = EhFrameHdr::new(&self.index, LittleEndian).parse(&self.bases, 8);
        let index = index.ok()?;
        let frames = EhFrame::new(&self.frames, LittleEndian);
        let find = EhFrame::cie_from_offset;
        let entry = index
            .table()?
            .fde_for_address(&frames, &self.bases, address, find)
            .ok()?;
        let row = entry.unwind_info_for_address(&frames, &self.bases, &mut self.context, address);
        let row = row.ok()?;
        let program = |expression: UnwindExpression<usize>| {
            let expression: Expression<Bytes<'_>> = expression.get(&frames).ok()?;
            Some(Program(entry.cie().encoding(), expression.0.slice().into()))
        };
        let end = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => End::Register(*register, *offset),
            CfaRule::Expression(expression) => End::Expression(program(*expression)?),
        };
        let rule = |register| match row.register(register) {
            None | Some(RegisterRule::SameValue) => Rule::Same,
            Some(RegisterRule::Offset(offset)) => Rule::Saved(offset),
            Some(RegisterRule::ValOffset(offset)) => Rule::Sum(offset),
            Some(RegisterRule::Expression(at)) => program(at).map_or(Rule::Unknown, Rule::SavedAt),
            Some(RegisterRule::ValExpression(value)) => {
                program(value).map_or(Rule::Unknown, Rule::Value)
            }
            Some(RegisterRule::Undefined) => Rule::Undefined,
            Some(_) => Rule::Unknown,
        };
        let counter = entry.cie().return_address_register();
        Some(Row {
            end,
            frame: rule(MACHINE.frame),
            counter: rule(counter),
            signal: entry.is_signal_trampoline(),
        })
    }
}
