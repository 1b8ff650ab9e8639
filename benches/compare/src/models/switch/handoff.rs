//! Control handed to another thread and back by futex, and to another process and back by pipes.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::Switch;
use crate::models::process::{Child, fork};
use crate::models::stacks;

/// A thread's own cache line, with the word that it sleeps on.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Word(AtomicU32);

impl Word {
    /// Waits until it is 1, and makes it 0.
    fn wait(&self) {
        while self.0.swap(0, Ordering::Acquire) == 0 {
            let timeout = std::ptr::null::<libc::timespec>();
            // The call fails if the word is not 0 any more, or for a signal; the loop looks again in any case.
            // SAFETY: the word lives during the call; no timeout is passed.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.0.as_ptr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    0,
                    timeout,
                )
            };
        }
    }

    fn wake(&self) {
        self.0.store(1, Ordering::Release);
        // SAFETY: the address is not read, only looked up.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.0.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            )
        };
    }
}

/// A thread that hands control back whenever it gets it. It ends with the process.
#[derive(Debug)]
pub(crate) struct Thread {
    inside: Arc<Word>,
    outside: Arc<Word>,
}

/// Starts threads on the core of this one.
pub(crate) fn threads(count: usize) -> io::Result<Vec<Thread>> {
    let outside = Arc::<Word>::default();
    let start = || {
        let made = Thread {
            inside: Arc::default(),
            outside: outside.clone(),
        };
        let (inside, outside) = (made.inside.clone(), outside.clone());
        let body = move || {
            loop {
                inside.wait();
                outside.wake();
            }
        };
        thread::Builder::new()
            .stack_size(stacks::SIZE)
            .spawn(body)?;
        Ok(made)
    };
    (0..count).map(|_| start()).collect()
}

impl Switch for Thread {
    fn turn(&mut self) {
        self.inside.wake();
        self.outside.wait();
    }
}

/// A process that hands control back whenever it gets it.
#[derive(Debug)]
pub(crate) struct Process {
    inside: PipeWriter,
    outside: Arc<PipeReader>,
    _child: Child,
}

/// Starts processes on the core of this one, which must have one thread.
pub(crate) fn processes(count: usize) -> io::Result<Vec<Process>> {
    let (outside, back) = io::pipe()?;
    let outside = Arc::new(outside);
    let start = || {
        let (mine, inside) = io::pipe()?;
        Ok(Process {
            _child: fork(|| hand_back(&mine, &back))?,
            inside,
            outside: outside.clone(),
        })
    };
    (0..count).map(|_| start()).collect()
}

/// What a child does.
fn hand_back(mut mine: &PipeReader, mut back: &PipeWriter) {
    let mut byte = [0];
    while matches!(mine.read(&mut byte), Ok(1)) && back.write_all(&byte).is_ok() {}
}

impl Switch for Process {
    fn turn(&mut self) {
        let mut byte = [0];
        self.inside.write_all(&byte).expect("the child reads");
        (&*self.outside)
            .read_exact(&mut byte)
            .expect("the child answers");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_hand_control_back() {
        let mut threads = threads(3).unwrap();
        for _ in 0..100 {
            threads.iter_mut().for_each(Switch::turn);
        }
    }
}
