//! Copies the registers and the stacks of a thread that runs, by a signal to it.
//!
//! ```text
//!   watchdog   IDLE ─> ASKED ── signal ──┐               DONE ─> reads the copy ─> IDLE
//!   thread                               └─> BUSY ─ copies ─┘
//! ```
//!
//! The signal is `SIGURG`: programs have hardly any use for it, and whoever ignores it, as is the default, comes to no harm by one. Whoever
//! handles it goes on to do so: what was not asked for here is passed on. The handler makes two system calls and allocates
//! nothing; the memory for the copy is there before. It runs on the thread's alternate stack, which Rust gives each of its
//! threads, because a fiber's may be full.
//!
//! Invariant **ONE WRITER**: what is behind `copy` belongs to the thread in the state BUSY, and to the watchdog in all others; whoever
//! changes the state to another's hands it over (release, acquire).

use std::cell::{Cell, UnsafeCell};
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use camshaft_inspect::{Registers, Snapshot};

const SIGNAL: libc::c_int = libc::SIGURG;

/// How much of each stack is copied, and of how many: a fiber may use a generator, and runs on the stack of a thread.
const PIECE: usize = 64 << 10;
const PIECES: usize = 4;
const PAGE: usize = 4096;
/// The longest name of a task that is told whole.
const NAME: usize = 64;

/// How long a thread is waited for that may be busy in the kernel, or may have been stopped.
const PATIENCE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_micros(200);

mod state {
    pub(super) const IDLE: u32 = 0;
    pub(super) const ASKED: u32 = 1;
    pub(super) const BUSY: u32 = 2;
    pub(super) const DONE: u32 = 3;
}

thread_local! {
    /// Where this thread is to leave a copy when it is asked. Without a destructor, so that the handler can look at it.
    static ATTENDED: Cell<*const Shot> = const { Cell::new(ptr::null()) };
}

/// What handled the signal before.
static BEFORE: OnceLock<Before> = OnceLock::new();

struct Before(libc::sigaction);

/// The place where a thread leaves a copy of what it is doing.
pub(super) struct Shot {
    state: AtomicU32,
    /// The thread that answers, or 0.
    thread: AtomicI32,
    copy: UnsafeCell<Copy>,
}

// SAFETY: ONE WRITER.
unsafe impl Sync for Shot {}

struct Copy {
    registers: Registers,
    /// Where each piece was, and how much of it could be copied.
    pieces: [(usize, usize); PIECES],
    bytes: Box<[u8]>,
    name: [u8; NAME],
    name_size: usize,
}

/// What came of asking.
pub(super) enum Answer {
    /// The poll has ended.
    Gone,
    /// There is no copy, for this reason.
    None(String),
    Taken(Box<Taken>),
}

/// A copy of a thread's stacks.
pub(super) struct Taken {
    pub(super) registers: Registers,
    pub(super) memory: Snapshot,
    pub(super) stacks: Vec<Range<u64>>,
    pub(super) name: Option<String>,
}

/// Makes the signal one that is answered.
pub(super) fn prepare() -> io::Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given; the old one is written.
    check(unsafe { libc::sigaction(SIGNAL, ptr::null(), before.as_mut_ptr()) })?;
    // SAFETY: it was zeroed, and written since.
    let before = unsafe { before.assume_init() };
    // Known before the handler can run.
    let _ = BEFORE.set(Before(before));
    // SAFETY: all bytes zero is a valid action.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = (handle as extern "C" fn(_, _, _)) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    action.sa_mask = before.sa_mask;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and does only what a handler may do.
    check(unsafe { libc::sigaction(SIGNAL, &raw const action, ptr::null_mut()) })?;
    *installed = true;
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Shot {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU32::new(state::IDLE),
            thread: AtomicI32::new(0),
            copy: UnsafeCell::new(Copy {
                registers: Registers::default(),
                pieces: [(0, 0); PIECES],
                bytes: vec![0; PIECE * PIECES].into(),
                name: [0; NAME],
                name_size: 0,
            }),
        }
    }

    /// The thread that calls this answers, until what this returns is dropped.
    pub(super) fn attend(&self) -> Attending<'_> {
        let before = ATTENDED.replace(self);
        // SAFETY: it takes nothing.
        let thread = unsafe { libc::gettid() };
        self.thread.store(thread, Ordering::Release);
        Attending { shot: self, before }
    }

    /// Asks the thread for a copy, if there still is a reason to.
    pub(super) fn ask(&self, wanted: impl Fn() -> bool) -> Answer {
        self.state.store(state::ASKED, Ordering::Release);
        let thread = self.thread.load(Ordering::Acquire);
        if thread == 0 || !wanted() || !send(thread) {
            return self.withdraw(Answer::Gone);
        }
        let begun = Instant::now();
        while self.state.load(Ordering::Acquire) != state::DONE {
            if !wanted() {
                return self.withdraw(Answer::Gone);
            }
            if begun.elapsed() > PATIENCE {
                let why = "  its stack is not known: the thread did not answer SIGURG; something else handles it, or it is blocked\n";
                return self.withdraw(Answer::None(why.to_owned()));
            }
            thread::sleep(STEP);
        }
        // SAFETY: ONE WRITER: it is DONE.
        let taken = unsafe { &*self.copy.get() }.taken();
        self.state.store(state::IDLE, Ordering::Release);
        // A copy of what came after says nothing of it.
        match wanted() {
            true => Answer::Taken(Box::new(taken)),
            false => Answer::Gone,
        }
    }

    /// Asks no longer. If the thread has begun to answer, that is waited for: it takes no time.
    fn withdraw(&self, answer: Answer) -> Answer {
        let asked = (
            state::ASKED,
            state::IDLE,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        let withdrawn = self
            .state
            .compare_exchange(asked.0, asked.1, asked.2, asked.3);
        if withdrawn.is_err() {
            while self.state.load(Ordering::Acquire) == state::BUSY {
                thread::sleep(STEP);
            }
            self.state.store(state::IDLE, Ordering::Release);
        }
        answer
    }

    /// Leaves a copy, if that was asked for. In the signal handler.
    fn answer(&self, context: *const libc::ucontext_t) -> bool {
        let asked = (
            state::ASKED,
            state::BUSY,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        let begun = self
            .state
            .compare_exchange(asked.0, asked.1, asked.2, asked.3);
        if begun.is_ok() {
            // SAFETY: ONE WRITER: it is BUSY.
            let copy = unsafe { &mut *self.copy.get() };
            // SAFETY: the kernel passes what the thread was interrupted with.
            copy.take(unsafe { &*context });
            self.state.store(state::DONE, Ordering::Release);
        }
        begun.is_ok()
    }
}

/// A thread answers, until this is dropped.
pub(super) struct Attending<'a> {
    shot: &'a Shot,
    before: *const Shot,
}

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.shot.thread.store(0, Ordering::Release);
        ATTENDED.set(self.before);
    }
}

/// Sends the signal to a thread of this process; false if it is gone.
fn send(thread: libc::pid_t) -> bool {
    let process = libc::c_long::from(libc::pid_t::try_from(std::process::id()).unwrap_or(0));
    let thread = libc::c_long::from(thread);
    // SAFETY: it passes numbers. A thread with this number is one of this process, or nobody.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, SIGNAL) };
    sent == 0
}

impl Copy {
    fn take(&mut self, context: &libc::ucontext_t) {
        self.registers = registers(context);
        let first = usize::try_from(self.registers.stack_pointer).unwrap_or(0);
        let mut starts = [first, 0, 0, 0];
        stacks_below(&mut starts[1..]);
        for (place, start) in starts.into_iter().enumerate() {
            let into = &mut self.bytes[place * PIECE..(place + 1) * PIECE];
            self.pieces[place] = (start, if start == 0 { 0 } else { copy(start, into) });
        }
        self.name_size = camshaft_executor::pulse::running_name(&mut self.name);
    }

    fn taken(&self) -> Taken {
        let mut memory = Snapshot::new();
        let mut stacks = Vec::new();
        for (place, (start, size)) in self.pieces.into_iter().enumerate() {
            if size > 0 {
                let bytes = &self.bytes[place * PIECE..][..size];
                memory.insert(start as u64, bytes);
                stacks.push(start as u64..(start + size) as u64);
            }
        }
        let name = &self.name[..self.name_size];
        Taken {
            registers: self.registers,
            memory,
            stacks,
            name: (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned()),
        }
    }
}

/// Where the stacks go on that have resumed the fiber that runs.
#[cfg(feature = "stackful")]
fn stacks_below(into: &mut [usize]) {
    camshaft_stackful::look::below(into);
}

#[cfg(not(feature = "stackful"))]
fn stacks_below(_: &mut [usize]) {}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let register = |number: libc::c_int| {
        let number = usize::try_from(number).unwrap_or(0);
        context.uc_mcontext.gregs[number].cast_unsigned()
    };
    Registers {
        program_counter: register(libc::REG_RIP),
        stack_pointer: register(libc::REG_RSP),
        frame_pointer: register(libc::REG_RBP),
        link: 0,
    }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let machine = &context.uc_mcontext;
    Registers {
        program_counter: machine.pc,
        stack_pointer: machine.sp,
        frame_pointer: machine.regs[29],
        link: machine.regs[30],
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn registers(_: &libc::ucontext_t) -> Registers {
    Registers::default()
}

/// Copies what is at an address, as far as it can be read, and says how much that is. The kernel does it: where a stack ends is not
/// known.
fn copy(start: usize, into: &mut [u8]) -> usize {
    let here = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let nothing = libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    };
    let mut there = [nothing; PIECE / PAGE + 1];
    let mut left = into.len();
    let mut at = start;
    for page in &mut there {
        let size = left.min(PAGE - at % PAGE);
        page.iov_base = ptr::without_provenance_mut(at);
        page.iov_len = size;
        (at, left) = (at.wrapping_add(size), left - size);
    }
    // SAFETY: it takes nothing.
    let own = unsafe { libc::getpid() };
    let count = there.len() as libc::c_ulong;
    // SAFETY: the kernel writes into `into` alone, and checks the addresses that it reads from.
    let read = unsafe { libc::process_vm_readv(own, &raw const here, 1, there.as_ptr(), count, 0) };
    usize::try_from(read).unwrap_or(0)
}

/// The signal's handler. It may interrupt anything.
extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: it takes nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is that of this thread.
    let before = unsafe { *errno };
    // SAFETY: whoever attends keeps the place.
    let shot = unsafe { ATTENDED.get().as_ref() };
    if !shot.is_some_and(|shot| shot.answer(context.cast())) {
        pass_on(signal, info, context);
    }
    // SAFETY: it is that of this thread.
    unsafe { *errno = before };
}

/// What was not asked for here is meant for whoever had the signal before.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(Before(before)) = BEFORE.get() else {
        return;
    };
    let handler = before.sa_sigaction;
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return; // the default is to ignore it
    }
    if before.sa_flags & libc::SA_SIGINFO != 0 {
        type Full = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
        // SAFETY: whoever has installed it with this flag gave a function of this type.
        let handler = unsafe { std::mem::transmute::<usize, Full>(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: whoever has installed it without that flag gave a function of this type.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
        handler(signal);
    }
}
