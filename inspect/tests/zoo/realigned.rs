//! Calls through functions that say by an expression where a register is, as C compilers have it where they align a frame.

use std::arch::global_asm;
use std::future::pending;
use std::hint::black_box;

use camshaft_inspect::Tree;
use camshaft_stackful::{Fiber, wait};

use crate::common::is_described;
use crate::fibers::{path, tree_of_waiting};

// Each calls what it is given, with a frame of its own that only expressions describe.
global_asm!(
    // The frame pointer is where it points to itself; the end of the frame is the word below that.
    ".globl camshaft_zoo_realigned",
    ".type camshaft_zoo_realigned, @function",
    "camshaft_zoo_realigned:",
    ".cfi_startproc",
    "lea r10, [rsp + 8]",
    ".cfi_def_cfa r10, 0",
    "and rsp, -64",
    "push qword ptr [r10 - 8]",
    "push rbp",
    "mov rbp, rsp",
    ".cfi_escape 0x10, 0x6, 0x2, 0x76, 0x0",
    "push r10",
    ".cfi_escape 0xf, 0x3, 0x76, 0x78, 0x6",
    "sub rsp, 40",
    "call rdi",
    "mov r10, [rbp - 8]",
    "leave",
    "lea rsp, [r10 - 8]",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    ".size camshaft_zoo_realigned, . - camshaft_zoo_realigned",
    // It is so far from the end of the frame, which is what an expression begins with.
    ".globl camshaft_zoo_relative",
    ".type camshaft_zoo_relative, @function",
    "camshaft_zoo_relative:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_escape 0x10, 0x6, 0x2, 0x40, 0x1c",
    "xor ebp, ebp",
    "call rdi",
    "pop rbp",
    ".cfi_def_cfa_offset 8",
    ".cfi_restore rbp",
    "ret",
    ".cfi_endproc",
    ".size camshaft_zoo_relative, . - camshaft_zoo_relative",
    // It is what an expression says, and not at the place of that.
    ".globl camshaft_zoo_value",
    ".type camshaft_zoo_value, @function",
    "camshaft_zoo_value:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    "mov rbp, rsp",
    ".cfi_escape 0x16, 0x6, 0x3, 0x76, 0x0, 0x6",
    "call rdi",
    "pop rbp",
    ".cfi_def_cfa_offset 8",
    ".cfi_restore rbp",
    "ret",
    ".cfi_endproc",
    ".size camshaft_zoo_value, . - camshaft_zoo_value",
    // It is in a register that is not followed.
    ".globl camshaft_zoo_elsewhere",
    ".type camshaft_zoo_elsewhere, @function",
    "camshaft_zoo_elsewhere:",
    ".cfi_startproc",
    "push rbx",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbx, -16",
    "mov rbx, rbp",
    ".cfi_register rbp, rbx",
    "xor ebp, ebp",
    "call rdi",
    "mov rbp, rbx",
    "pop rbx",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
    ".size camshaft_zoo_elsewhere, . - camshaft_zoo_elsewhere",
);

type Through = unsafe extern "C-unwind" fn(extern "C-unwind" fn());

unsafe extern "C-unwind" {
    fn camshaft_zoo_realigned(call: extern "C-unwind" fn());
    fn camshaft_zoo_relative(call: extern "C-unwind" fn());
    fn camshaft_zoo_value(call: extern "C-unwind" fn());
    fn camshaft_zoo_elsewhere(call: extern "C-unwind" fn());
}

extern "C-unwind" fn pause() {
    wait(pending::<()>()); // @pause
    black_box(());
}

#[repr(align(256))]
struct Wide([u8; 256]);

/// Has a frame that only its frame pointer leads to the end of.
#[inline(never)]
fn wide(through: Through) {
    let mut room = Wide([1; 256]);
    black_box(&mut room);
    // SAFETY: it calls what it is given.
    unsafe { through(pause) }; // @wide
    black_box(&room.0);
}

fn tree(through: Through) -> Tree {
    tree_of_waiting(Fiber::new(move || wide(through)))
}

#[test]
fn a_register_is_found_by_an_expression() {
    if !is_described() {
        return;
    }
    let kinds: [(Through, &str); 3] = [
        (camshaft_zoo_realigned, "realigned"),
        (camshaft_zoo_relative, "relative"),
        (camshaft_zoo_value, "value"),
    ];
    for (through, name) in kinds {
        let told = path(&tree(through).root);
        let (_, calls) = told.split_once(" > ").expect("there are calls");
        let calls = calls.replace("@nowhere", "");
        let calls = calls.trim_start_matches("{closure} > ");
        let expected = format!("wide > camshaft_zoo_{name} > pause > Pending");
        assert_eq!(calls, expected, "{told}");
    }
}

#[test]
fn a_register_that_cannot_be_found_is_said_to_be_that() {
    if !is_described() {
        return;
    }
    let tree = tree(camshaft_zoo_elsewhere);
    let told = path(&tree.root);
    let end = "further calls > wide@nowhere > camshaft_zoo_elsewhere > pause@nowhere > Pending";
    assert!(told.ends_with(end), "{told}");
    let text = tree.to_string();
    assert!(text.contains("keeps a register where"), "{text}");
}
