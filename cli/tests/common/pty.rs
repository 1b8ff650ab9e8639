//! A terminal that nobody sits at.

#![allow(dead_code, reason = "each test uses some of it")]

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// How long nothing may be shown.
const PATIENCE: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};
/// How much may be shown that is not what is waited for.
const MOST: usize = 4 << 20;

/// A terminal: what is typed, and what is shown.
pub(crate) struct Pty {
    master: File,
    /// The side of the program; kept, so that its settings can be asked for when the program has ended.
    slave: OwnedFd,
    said: Vec<u8>,
    /// How it was set at first.
    cooked: Termios,
}

impl Pty {
    pub(crate) fn new(rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("there is a terminal left");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits().cast_signed())
            .open(name.to_str().expect("a path in /dev/pts"))
            .expect("it is unlocked");
        let pty = Self {
            master: File::from(master),
            cooked: tcgetattr(&slave).expect("it is a terminal"),
            slave: slave.into(),
            said: Vec::new(),
        };
        pty.resize(rows, columns);
        pty
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.slave, size).expect("it is a terminal");
    }

    /// How it is set.
    pub(crate) fn settings(&self) -> String {
        format!("{:?}", tcgetattr(&self.slave).expect("it is a terminal"))
    }

    /// Sets it as it was at first.
    pub(crate) fn restore(&self) {
        tcsetattr(&self.slave, OptionalActions::Now, &self.cooked).expect("it is a terminal");
    }

    /// Starts a program at it.
    pub(crate) fn spawn(&self, program: &mut Command) -> Child {
        let end = || self.slave.try_clone().expect("a descriptor is left");
        let child = program.stdin(end()).stdout(end()).stderr(end()).spawn();
        // The command would keep the terminal open.
        program.stdin(Stdio::null()).stdout(Stdio::null());
        program.stderr(Stdio::null());
        child.expect("it can be started")
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.master
            .write_all(keys.as_bytes())
            .expect("it takes keys");
    }

    /// What is shown from here on, until it is as wanted. Fails if nothing comes any more.
    pub(crate) fn read_until(&mut self, is_there: impl Fn(&str) -> bool) -> String {
        self.said.clear();
        loop {
            let text = String::from_utf8_lossy(&self.said).into_owned();
            if is_there(&text) {
                return text;
            }
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&PATIENCE)).expect("it can be waited for");
            assert!(ready > 0, "nothing more is shown: {text:?}");
            let mut piece = [0; 4096];
            let count = self.master.read(&mut piece).expect("somebody has it open");
            self.said.extend_from_slice(&piece[..count]);
            assert!(self.said.len() < MOST, "it does not come: {text:?}");
        }
    }

    /// What is shown from here on until a program has ended, and how it did.
    pub(crate) fn read_to_end(&mut self, mut child: Child) -> (String, ExitStatus) {
        const MARK: &str = "\u{2}the program has ended\u{3}";
        let slave = self.slave.try_clone().expect("a descriptor is left");
        let waits = std::thread::spawn(move || {
            let status = child.wait().expect("it was started");
            let written = File::from(slave).write_all(MARK.as_bytes());
            written.expect("it is open");
            status
        });
        let text = self.read_until(|text| text.contains(MARK));
        (
            text.replace(MARK, ""),
            waits.join().expect("it does not panic"),
        )
    }
}
