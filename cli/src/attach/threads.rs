//! Where a thread of another process is, as far as the kernel tells.

use std::fmt::Write as _;
use std::fs;

use super::clean;

/// Lines that say where a thread is, each after a line feed; nothing if nothing is told.
pub(super) fn whereabouts(pid: u32, thread: u32) -> String {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/task/{thread}/{file}")).ok();
    let mut text = String::new();
    let Some(state) = read("stat").as_deref().and_then(state) else {
        return text;
    };
    let name = read("comm").unwrap_or_default();
    let _ = write!(
        text,
        "\n  thread {thread} ({}) {state}",
        clean(name.trim_end())
    );
    // Where it waits, and in which call: not told to everybody.
    let channel = read("wchan").filter(|channel| !matches!(&**channel, "" | "0"));
    if let Some(channel) = channel {
        let _ = write!(text, " in the kernel's {}", clean(channel.trim_end()));
    }
    let call = read("syscall");
    let number = call.as_deref().and_then(|call| call.split(' ').next());
    if let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) {
        let _ = write!(text, ", system call {number}");
    }
    for frame in read("stack").unwrap_or_default().lines().take(16) {
        let _ = write!(text, "\n    {}", clean(frame.trim_start_matches("[<0>] ")));
    }
    text
}

/// What the letter after the name in `/proc/…/stat` means. The name may have anything in it.
fn state(stat: &str) -> Option<&'static str> {
    let (_, after) = stat.rsplit_once(") ")?;
    Some(match after.chars().next()? {
        'R' => "is running",
        'S' => "sleeps",
        'D' => "sleeps and can't be woken",
        'T' => "is stopped",
        't' => "is stopped by a debugger",
        'Z' | 'X' => "has ended",
        _ => "is",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_a_state() {
        assert_eq!(state("7 (a) Z (b) S 1 2"), Some("sleeps"));
        assert_eq!(state("7 (a) R"), Some("is running"));
        assert_eq!(state("7"), None);
    }

    #[test]
    fn a_thread_that_looks_is_running() {
        let pid = std::process::id();
        let thread = camshaft_inspect::attach::thread();
        assert!(whereabouts(pid, thread).contains("is running"));
        assert_eq!(whereabouts(pid, u32::MAX), "");
    }
}
