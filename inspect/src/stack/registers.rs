//! The registers that lead from a call to its caller.

use gimli::Register;

/// The numbers of the registers that are followed.
pub(crate) struct Machine {
    pub(crate) stack: Register,
    pub(crate) frame: Register,
    pub(crate) counter: Register,
}

pub(crate) const MACHINE: Machine = if cfg!(target_arch = "aarch64") {
    Machine {
        stack: Register(31),
        frame: Register(29),
        counter: Register(30),
    }
} else {
    Machine {
        stack: Register(7),
        frame: Register(6),
        counter: Register(16),
    }
};

/// Where a stack is unwound from: the registers of a function at one of its instructions. Whoever has switched stacks or interrupted a
/// thread has taken them; nothing here takes any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// The address of the instruction that is next.
    pub program_counter: u64,
    /// The end of the stack that is used.
    pub stack_pointer: u64,
    /// `rbp` or `x29`.
    pub frame_pointer: u64,
    /// `x30`, which is where a function that calls no other returns to; elsewhere 0.
    pub link: u64,
}
