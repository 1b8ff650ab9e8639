//! Runs a program where io_uring is refused, as the default profile of container engines does.
//!
//! ```console
//! $ cargo build --examples
//! $ cargo run --example without_io_uring -- target/debug/examples/hello
//! ```
//!
//! The program says on standard error that it uses epoll instead, and works all the same. `CAMSHAFT_BACKEND=epoll` has the
//! same effect without a filter, and without the message.

use std::error::Error;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `io_uring_setup`, on every architecture.
const IO_URING_SETUP: u32 = 425;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or("name the program to run")?;
    refuse_io_uring()?;
    // Returns only if the program can't be started.
    let error = Command::new(&program).args(words).exec();
    Err(format!("{} can't be started: {error}", program.display()).into())
}

/// Installs a filter that answers `io_uring_setup` with `EPERM`, for this process and all that it starts.
fn refuse_io_uring() -> io::Result<()> {
    let instruction = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        instruction(0x20, 0, 0, 0), // load the number of the system call
        instruction(0x15, 0, 1, IO_URING_SETUP), // is it the one?
        instruction(
            0x06,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned(),
        ),
        instruction(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: no memory is passed.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel reads the program, which outlives the call.
    let filtered = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    if filtered != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
