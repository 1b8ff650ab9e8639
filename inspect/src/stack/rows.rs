//! What a file says of each of its instructions: where the registers of the caller are.

use std::sync::Arc;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, EvaluationResult,
    Expression, LittleEndian, Location, Register, RegisterRule, UnwindContext, UnwindSection as _,
    Value,
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
    Expression(Encoding, Arc<[u8]>),
}

/// What a register of the caller is.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Same,
    /// It is there from the end of the frame.
    Saved(i64),
    /// It is so far from the end of the frame.
    Sum(i64),
    /// There is no caller.
    Undefined,
    Unknown,
}

impl Row {
    /// The registers of the caller; nothing if there is none.
    pub(crate) fn caller(
        &self,
        at: Registers,
        window: &mut Window<'_>,
        stacks: &Stacks,
    ) -> Option<Option<Registers>> {
        let end = match &self.end {
            End::Register(register, offset) => value(*register, at)?.checked_add_signed(*offset)?,
            End::Expression(encoding, bytes) => evaluate(*encoding, bytes, at, window)?,
        };
        if self.signal {
            // What goes on there was left there.
            window.limits = stacks.of(end)?.clone();
        }
        let mut find = |rule, same| match rule {
            Rule::Same => Some(same),
            Rule::Saved(offset) => window.word(end.checked_add_signed(offset)?),
            Rule::Sum(offset) => end.checked_add_signed(offset),
            Rule::Undefined | Rule::Unknown => None,
        };
        if matches!(self.counter, Rule::Undefined) {
            return Some(None);
        }
        let program_counter = find(self.counter, at.link)?;
        Some((program_counter != 0).then(|| Registers {
            program_counter,
            stack_pointer: end,
            // It is lost only where nobody needs it.
            frame_pointer: find(self.frame, at.frame_pointer).unwrap_or(0),
            link: 0,
        }))
    }
}

fn value(register: Register, at: Registers) -> Option<u64> {
    match register {
        register if register == MACHINE.stack => Some(at.stack_pointer),
        register if register == MACHINE.frame => Some(at.frame_pointer),
        register if register == MACHINE.counter && cfg!(target_arch = "x86_64") => {
            Some(at.program_counter)
        }
        _ => None,
    }
}

/// Where the frame ends, if that takes more than a sum.
fn evaluate(
    encoding: Encoding,
    bytes: &[u8],
    at: Registers,
    window: &mut Window<'_>,
) -> Option<u64> {
    let mut evaluation = Expression(Bytes::new(bytes, LittleEndian)).evaluation(encoding);
    evaluation.set_max_iterations(OPERATIONS);
    let mut state = evaluation.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = Value::Generic(value(register, at)?);
                evaluation.resume_with_register(value).ok()?
            }
            EvaluationResult::RequiresMemory {
                address, size: 8, ..
            } => {
                let value = Value::Generic(window.word(address)?);
                evaluation.resume_with_memory(value).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.result().first()?.location {
        Location::Address { address } => Some(address),
        _ => None,
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
        let end = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => End::Register(*register, *offset),
            CfaRule::Expression(expression) => {
                let expression: Expression<Bytes<'_>> = expression.get(&frames).ok()?;
                End::Expression(entry.cie().encoding(), expression.0.slice().into())
            }
        };
        let counter = entry.cie().return_address_register();
        Some(Row {
            end,
            frame: rule(row.register(MACHINE.frame)),
            counter: rule(row.register(counter)),
            signal: entry.is_signal_trampoline(),
        })
    }
}

fn rule(rule: Option<RegisterRule<usize>>) -> Rule {
    match rule {
        None | Some(RegisterRule::SameValue) => Rule::Same,
        Some(RegisterRule::Offset(offset)) => Rule::Saved(offset),
        Some(RegisterRule::ValOffset(offset)) => Rule::Sum(offset),
        Some(RegisterRule::Undefined) => Rule::Undefined,
        Some(_) => Rule::Unknown,
    }
}
