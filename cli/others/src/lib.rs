//! What the programs here share: each serves itself once, and says how large its futures are.
//!
//! The command is tried on them, because it must not matter whose runtime a program uses: `cargo test -p camshaft-cli-others`.

#![forbid(unsafe_code)]

/// The size of the future that an `async` function returns, which need not be called for that.
pub fn size_of_future<A, F: Future>(_: impl Fn(A) -> F) -> usize {
    size_of::<F>()
}

/// Prints the size of a future as `path bytes`, in the words of the command.
pub fn say(path: &str, size: usize) {
    println!("{path} {size}");
}
