//! What it costs to look at tasks. Prints tables.
//!
//! ```console
//! $ CARGO_PROFILE_BENCH_DEBUG=full cargo bench -p camshaft --features inspect,stackful --bench inspect
//! $ CARGO_PROFILE_BENCH_DEBUG=full cargo bench -p camshaft --features inspect --bench inspect -- --program PATH
//! ```
//!
//! - First dump: it reads the debug information of this program; each time in a new process. The goal is 50 ms for 17 MB.
//! - Later dumps, of 10,000 tasks that wait in 3 and in 10,000 different ways, and of readers of sockets, of which the kernel is
//!   asked who is at the other end; then the same as text and as JSON. The goal is 150 ms. Of 10,000 fibers that wait eight calls
//!   deep, with the feature `stackful`. The last column is the first dump of that process.
//! - Heap: what stays, and how much there is at most meanwhile. The goal is half a MiB that stays.
//! - `--program`: the index of any other program. Nothing of it is run.
//!
//! What tasks cost that nobody looks at is in `inspect_unused`. Left out: the first touch of the program's file, if it is not
//! in the page cache. There is no floor: nothing simpler tells the same.

mod heap;
mod look;

use std::error::Error;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |option: &str| {
        let place = arguments.iter().position(|word| word == option)?;
        arguments.get(place + 1)
    };
    match (value("--look"), value("--program")) {
        (Some(row), _) => look::row(row),
        (_, Some(path)) => look::program(path),
        _ => look::table(arguments.iter().any(|word| word == "--test")),
    }
}
