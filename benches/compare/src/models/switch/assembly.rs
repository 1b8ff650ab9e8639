//! A switch of our own in assembly, the classic way: a function that saves what its caller expects to find again, swaps
//! the stack pointers, and returns on the other side.
//!
//! ```text
//!   suspended:  stack pointer ─▶ [ saved registers │ address to return to ] … frames … [ Coroutine ]
//! ```
//!
//! corosensei does better by being inlined: the compiler knows which registers are in use, and the jump goes to an address
//! that the processor has seen, where a `ret` that goes elsewhere than the last `call` is always guessed wrong.

use std::arch::naked_asm;
use std::cell::Cell;
use std::io;
use std::ptr;

use super::Switch;
use crate::models::stacks::Stacks;

/// Saves the registers that a function must keep and the stack pointer, and goes on where another was saved.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn switch(save: *const Cell<usize>, to: usize) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Where a new stack begins: calls the function in r12 with what is in r13.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn begin() {
    naked_asm!("mov rdi, r13", "call r12", "ud2")
}

/// What [`switch`] finds on a new stack, from its pointer upwards.
#[cfg(target_arch = "x86_64")]
fn first_frame(function: usize, argument: usize) -> [usize; 7] {
    // r15, r14, r13, r12, rbx, rbp, and the address to return to: what is above that is aligned for a call.
    [0, 0, argument, function, 0, 0, begin as *const () as usize]
}

/// Saves the registers that a function must keep and the stack pointer, and goes on where another was saved.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn switch(save: *const Cell<usize>, to: usize) {
    naked_asm!(
        "sub sp, sp, #160",
        "stp x19, x20, [sp, #0]",
        "stp x21, x22, [sp, #16]",
        "stp x23, x24, [sp, #32]",
        "stp x25, x26, [sp, #48]",
        "stp x27, x28, [sp, #64]",
        "stp x29, x30, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mov x9, sp",
        "str x9, [x0]",
        "mov sp, x1",
        "ldp x19, x20, [sp, #0]",
        "ldp x21, x22, [sp, #16]",
        "ldp x23, x24, [sp, #32]",
        "ldp x25, x26, [sp, #48]",
        "ldp x27, x28, [sp, #64]",
        "ldp x29, x30, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "add sp, sp, #160",
        "ret",
    )
}

/// Where a new stack begins: calls the function in x19 with what is in x20.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn begin() {
    naked_asm!("mov x0, x20", "blr x19", "brk #1")
}

/// What [`switch`] finds on a new stack, from its pointer upwards.
#[cfg(target_arch = "aarch64")]
fn first_frame(function: usize, argument: usize) -> [usize; 20] {
    let mut frame = [0; 20];
    frame[0] = function; // x19
    frame[1] = argument; // x20
    frame[11] = begin as *const () as usize; // x30
    frame
}

/// What a coroutine has at the upper end of its stack. The coroutine only reads it, but for the cells.
#[derive(Debug)]
struct Coroutine {
    /// Its stack pointer while it is suspended.
    inside: Cell<usize>,
    /// Where it goes when it suspends: the stack pointer that its resumer saved.
    outside: *const Cell<usize>,
    /// Its own and the others' turns, and how many there shall be, if they go round.
    round: *const Round,
    next: Cell<*const Self>,
}

/// Makes a coroutine on a stack of its own, which is never given back: it never ends.
fn lay_out(
    stacks: &mut Stacks,
    body: unsafe extern "C" fn(*const Coroutine) -> !,
    outside: *const Cell<usize>,
    round: *const Round,
) -> io::Result<*const Coroutine> {
    let stack = stacks.take()?;
    let address = stack.upper_end(size_of::<Coroutine>());
    let coroutine: *mut Coroutine = ptr::with_exposed_provenance_mut(address);
    let frame = first_frame(body as *const () as usize, address);
    let pointer = address - size_of_val(&frame);
    let first: *mut _ = ptr::with_exposed_provenance_mut(pointer);
    // SAFETY: the stack is ours, and there is room below the coroutine.
    unsafe { ptr::write(first, frame) };
    let made = Coroutine {
        inside: Cell::new(pointer),
        outside,
        round,
        next: Cell::new(ptr::null()),
    };
    // SAFETY: the stack is ours, and there is room for it at the upper end, aligned.
    unsafe { coroutine.write(made) };
    Ok(coroutine)
}

/// One that is resumed, and switches back to its resumer.
#[derive(Debug)]
pub(crate) struct Assembly {
    coroutine: *const Coroutine,
}

/// Where all of a thread's resumers save their stack pointer. It is leaked, so that it outlives all coroutines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outside(&'static Cell<usize>);

impl Outside {
    pub(crate) fn new() -> Self {
        Self(Box::leak(Box::default()))
    }
}

impl Assembly {
    pub(crate) fn new(stacks: &mut Stacks, outside: Outside) -> io::Result<Self> {
        let coroutine = lay_out(stacks, suspend_for_ever, outside.0, ptr::null())?;
        Ok(Self { coroutine })
    }
}

impl Switch for Assembly {
    #[inline]
    fn turn(&mut self) {
        // SAFETY: it is never freed.
        let coroutine = unsafe { &*self.coroutine };
        // SAFETY: `inside` was made by `lay_out`, or saved by the switch that suspended it.
        unsafe { switch(coroutine.outside, coroutine.inside.get()) };
    }
}

unsafe extern "C" fn suspend_for_ever(coroutine: *const Coroutine) -> ! {
    // SAFETY: it is never freed.
    let coroutine = unsafe { &*coroutine };
    loop {
        // SAFETY: `outside` lives for ever.
        let outside = unsafe { &*coroutine.outside };
        // SAFETY: its resumer has just saved it, on this thread, and waits.
        unsafe { switch(&raw const coroutine.inside, outside.get()) };
    }
}

/// Coroutines that switch to each other in a ring, one switch a turn, without anybody in between.
#[derive(Debug)]
pub(crate) struct Ring {
    round: &'static Round,
    first: *const Coroutine,
}

#[derive(Debug)]
struct Round {
    outside: Cell<usize>,
    left: Cell<u64>,
    /// Who had the last turn.
    last: Cell<*const Coroutine>,
}

impl Ring {
    /// Who comes after whom.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two: one that switches to itself would find what it saved the time before.
    pub(crate) fn new(stacks: &mut Stacks, order: &[usize]) -> io::Result<Self> {
        assert!(order.len() > 1, "a ring of two at least");
        let round: &Round = Box::leak(Box::new(Round {
            outside: Cell::new(0),
            left: Cell::new(0),
            last: Cell::new(ptr::null()),
        }));
        let made: io::Result<Vec<_>> = order
            .iter()
            .map(|_| lay_out(stacks, go_round, &raw const round.outside, round))
            .collect();
        let made = made?;
        for (at, one) in order.iter().enumerate() {
            let next = order[(at + 1) % order.len()];
            // SAFETY: it is never freed.
            unsafe { &*made[*one] }.next.set(made[next]);
        }
        Ok(Self {
            round,
            first: made[order[0]],
        })
    }

    /// Has the next of them turns, until there were so many.
    pub(crate) fn turns(&mut self, count: u64) {
        self.round.left.set(count);
        // SAFETY: it is never freed.
        let first = unsafe { &*self.first };
        // SAFETY: made by `lay_out`, or saved by the switch that suspended it.
        unsafe { switch(&raw const self.round.outside, first.inside.get()) };
        // SAFETY: as above.
        self.first = unsafe { &*self.round.last.get() }.next.get();
    }
}

unsafe extern "C" fn go_round(coroutine: *const Coroutine) -> ! {
    // SAFETY: it is never freed, and neither is what it refers to.
    let coroutine = unsafe { &*coroutine };
    // SAFETY: as above.
    let round = unsafe { &*coroutine.round };
    loop {
        let left = round.left.get() - 1;
        round.left.set(left);
        let to = if left == 0 {
            round.last.set(coroutine);
            round.outside.get()
        } else {
            // SAFETY: as above.
            unsafe { &*coroutine.next.get() }.inside.get()
        };
        // SAFETY: saved by the switch away from there, on this thread.
        unsafe { switch(&raw const coroutine.inside, to) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_goes_on_where_it_stopped() {
        let mut stacks = Stacks::new();
        let mut ring = Ring::new(&mut stacks, &[2, 0, 1]).unwrap();
        for turns in [1, 2, 3, 1000] {
            ring.turns(turns);
            assert_eq!(ring.round.left.get(), 0);
        }
        let mut alone = Assembly::new(&mut stacks, Outside::new()).unwrap();
        (0..1000).for_each(|_| alone.turn());
    }
}
