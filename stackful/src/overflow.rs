//! What happens when a fiber's stack overflows: a message that names the fiber, and the end of the process by `SIGSEGV`.
//!
//! The guard below the stack faults. There is no stack left for a handler then, so it runs on an alternate one: that which
//! Rust has given the thread, or one of ours. The handler looks only at the frame of the fiber that runs, and then goes
//! on to the handler that was there before (Rust's own, as a rule, which ends the process), whether the fault was ours or
//! not.

use std::cell::Cell;
use std::io;
use std::mem::{MaybeUninit, transmute};
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::frame;

/// Bytes of an alternate stack, if a thread has none: the handler needs little, but processors save much.
const ALTERNATE: usize = 64 << 10;

/// What handled faults before.
static BEFORE: OnceLock<Before> = OnceLock::new();
/// Whether the handler is there.
static INSTALLED: Mutex<bool> = Mutex::new(false);

struct Before(libc::sigaction);

thread_local! {
    static ALTERNATE_STACK: AlternateStack = const { AlternateStack(Cell::new(None)) };
}

/// Makes sure that an overflow on this thread is reported. Called when it needs stacks.
pub(crate) fn prepare() -> io::Result<()> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        install()?;
        *installed = true;
    }
    drop(installed);
    // A thread that is ending has no fibers that could overflow.
    ALTERNATE_STACK
        .try_with(AlternateStack::prepare)
        .unwrap_or(Ok(()))
}

fn install() -> io::Result<()> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given; the old one is written.
    check(unsafe { libc::sigaction(libc::SIGSEGV, ptr::null(), before.as_mut_ptr()) })?;
    // SAFETY: it was zeroed, and written since.
    let before = unsafe { before.assume_init() };
    // Known before the handler can run.
    let _ = BEFORE.set(Before(before));
    // SAFETY: all bytes zero is a valid action.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = (handle as extern "C" fn(_, _, _)) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    action.sa_mask = before.sa_mask;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and does only what a handler may do.
    check(unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The alternate signal stack that we have given a thread, if it had none.
struct AlternateStack(Cell<Option<usize>>);

impl AlternateStack {
    fn prepare(&self) -> io::Result<()> {
        if self.0.get().is_some() {
            return Ok(());
        }
        let mut present = MaybeUninit::<libc::stack_t>::zeroed();
        // SAFETY: no new stack is given; the present one is written.
        check(unsafe { libc::sigaltstack(ptr::null(), present.as_mut_ptr()) })?;
        // SAFETY: it was zeroed, and written since.
        if unsafe { present.assume_init() }.ss_flags & libc::SS_DISABLE == 0 {
            return Ok(());
        }
        // SAFETY: a fresh mapping touches no existing memory.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                ALTERNATE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if ptr::eq(memory, libc::MAP_FAILED) {
            return Err(io::Error::last_os_error());
        }
        let stack = libc::stack_t {
            ss_sp: memory,
            ss_flags: 0,
            ss_size: ALTERNATE,
        };
        // SAFETY: memory that is mapped until this thread has given the stack up.
        check(unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) })?;
        self.0.set(Some(memory.expose_provenance()));
        Ok(())
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let Some(memory) = self.0.get() else { return };
        let none = libc::stack_t {
            ss_sp: ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: ALTERNATE,
        };
        // SAFETY: the thread takes its signals on its own stack from here on.
        let given_up = unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) };
        if given_up == 0 {
            // SAFETY: mapped in `prepare`, and not in use any more.
            unsafe { libc::munmap(ptr::with_exposed_provenance_mut(memory), ALTERNATE) };
        }
    }
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO what it knows of the signal.
    let info_ref = unsafe { &*info };
    // SAFETY: of a fault it knows the address.
    let address = unsafe { info_ref.si_addr() }.addr();
    if let Some(frame) = frame::current().filter(|frame| frame.guards(address)) {
        report(frame);
    }
    go_on(signal, info, context);
}

/// Says whose stack it was, without allocating.
fn report(frame: &frame::Frame) {
    let mut message = Message::new();
    message.add("\ncamshaft: the fiber ");
    match &frame.birth.name {
        Some(name) => {
            message.add("'");
            message.add(name);
            message.add("'");
        }
        None => message.add("without a name"),
    }
    message.add(", made at ");
    message.add(frame.birth.origin.file());
    message.add(":");
    message.add_number(frame.birth.origin.line() as usize);
    message.add(", has overflowed its stack of ");
    message.add_number(frame.stack_bytes() >> 10);
    message.add(" KiB\n  to give it more: fiber::Builder::new().stack_size(");
    message.add_number(frame.stack_bytes() * 2);
    message.add(").spawn(..)\n");
    message.write();
}

/// Does what was done before us.
fn go_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(Before(before)) = BEFORE.get() else {
        return;
    };
    match before.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // The fault comes again after this, and ends the process.
            // SAFETY: all bytes zero is the default action.
            let default = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
            // SAFETY: a handler may do this.
            unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: whoever has set SA_SIGINFO has given a function of this type.
            let handler = unsafe { transmute::<usize, Handler>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: whoever has not set SA_SIGINFO has given a function of this type.
            let handler = unsafe { transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
            handler(signal);
        }
    }
}

/// A line that grows without memory from the heap. What does not fit is cut.
struct Message {
    bytes: [u8; 1024],
    len: usize,
}

impl Message {
    fn new() -> Self {
        Self {
            bytes: [0; 1024],
            len: 0,
        }
    }

    fn add(&mut self, text: &str) {
        for byte in text.bytes().take(self.bytes.len() - self.len) {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }

    fn add_number(&mut self, number: usize) {
        if number >= 10 {
            self.add_number(number / 10);
        }
        // A digit is less than 256.
        let digit = b'0' + (number % 10).to_le_bytes()[0];
        self.add(str::from_utf8(&[digit]).unwrap_or_default());
    }

    fn write(&self) {
        // SAFETY: the bytes are initialised. There is nobody to tell if it fails.
        unsafe { libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn a_message_is_cut_where_it_does_not_fit() {
        let mut message = Message::new();
        message.add_number(65_536);
        message.add(&"x".repeat(2000));
        assert_eq!(&message.bytes[..6], b"65536x");
        assert_eq!(message.len, 1024);
    }
}
