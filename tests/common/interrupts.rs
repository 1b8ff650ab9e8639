//! Signals that arrive all the time, and interrupt the system calls of every thread.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Signals go out until it is dropped.
#[derive(Debug)]
pub struct Interrupts {
    targets: Arc<Mutex<Vec<i32>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

extern "C" fn nothing(_: libc::c_int) {}

impl Interrupts {
    /// Sends `SIGUSR1`, without `SA_RESTART`, to the threads that there are now.
    pub fn start() -> Self {
        // SAFETY: an all-zero `sigaction` is a valid one.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(libc::c_int) = nothing;
        action.sa_sigaction = handler as libc::sighandler_t;
        // SAFETY: the handler does nothing, and the kernel only reads the action.
        let set =
            unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
        assert_eq!(set, 0);
        let (targets, over) = <(Arc<Mutex<Vec<i32>>>, Arc<AtomicBool>)>::default();
        let thread = thread::spawn({
            let (targets, over) = (targets.clone(), over.clone());
            move || send(&targets, &over)
        });
        let this = Self {
            targets,
            over,
            thread: Some(thread),
        };
        this.refresh();
        this
    }

    /// Hits the threads that have been started since, too.
    pub fn refresh(&self) {
        let tasks = fs::read_dir("/proc/self/task").expect("procfs");
        let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
        let ids = ids.collect();
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = ids;
    }
}

fn send(targets: &Mutex<Vec<i32>>, over: &AtomicBool) {
    let process = std::process::id().cast_signed();
    // SAFETY: no memory is passed.
    let me = unsafe { libc::gettid() };
    while !over.load(Ordering::Relaxed) {
        let targets = targets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for target in targets.into_iter().filter(|target| *target != me) {
            // SAFETY: no memory is passed. A thread that has ended is no error that matters.
            unsafe { libc::syscall(libc::SYS_tgkill, process, target, libc::SIGUSR1) };
        }
        thread::sleep(Duration::from_micros(300));
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
