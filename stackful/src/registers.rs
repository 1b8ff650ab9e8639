//! The registers that lead from a call to its caller.
//!
//! Those who look at stacks have none of their own: what a fiber leaves here, and what whoever looks takes here, is all they need.

/// Where a stack can be unwound from: the registers of a function at one of its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registers {
    /// The address of the instruction; 0 if these were never taken.
    pub program_counter: usize,
    /// The end of the stack that is used.
    pub stack_pointer: usize,
    /// `rbp` or `x29`.
    pub frame_pointer: usize,
}

impl Registers {
    /// None.
    pub(crate) const NONE: Self = Self {
        program_counter: 0,
        stack_pointer: 0,
        frame_pointer: 0,
    };

    /// Those of the function that this is a part of. They lead to its callers until it returns.
    #[inline(always)]
    #[must_use]
    pub fn here() -> Self {
        let (program_counter, stack_pointer, frame_pointer);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: it reads three registers.
        unsafe {
            std::arch::asm!(
                "lea {0}, [rip]", "mov {1}, rsp", "mov {2}, rbp",
                out(reg) program_counter, out(reg) stack_pointer, out(reg) frame_pointer,
                options(nomem, nostack, preserves_flags),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: it reads three registers.
        unsafe {
            std::arch::asm!(
                "adr {0}, .", "mov {1}, sp", "mov {2}, x29",
                out(reg) program_counter, out(reg) stack_pointer, out(reg) frame_pointer,
                options(nomem, nostack, preserves_flags),
            );
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            (program_counter, stack_pointer, frame_pointer) = (0, 0, 0);
        }
        Self {
            program_counter,
            stack_pointer,
            frame_pointer,
        }
    }
}
