//! A filter that has the kernel refuse a system call, as that of a container does.

use std::io;

/// Refuses a system call to this thread and to all that it starts, with an error number. For good: only in a process of its
/// own.
pub fn refuse(call: libc::c_long, errno: i32) {
    const NUMBER: u32 = 0; // the offset in `seccomp_data`
    let number = u32::try_from(call).expect("a system call");
    let errno = u32::try_from(errno).expect("an error number");
    let step = |code: u32, jump_true, jump_false, k| libc::sock_filter {
        code: u16::try_from(code).expect("16 bits"),
        jt: jump_true,
        jf: jump_false,
        k,
    };
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NUMBER),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | errno,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("short"),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: no memory is passed.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(set, 0);
    // SAFETY: the kernel reads the program, which outlives the call.
    let set = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}
