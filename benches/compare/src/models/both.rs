//! One text, two models: a function is written once, and compiled as an `async fn` and as a function of a fiber.
//!
//! ```ignore
//! both! { $ wait =>
//!     /// Gives way so many times.
//!     fn give_way(times: u32) {
//!         for _ in 0..times {
//!             wait!(yield_now());
//!         }
//!     }
//! }
//! camshaft::spawn(give_way::stackless(3)); // wait!(future) is future.await
//! fiber::spawn(|| give_way::stackful(3)); //  wait!(future) is fiber::wait(future)
//! ```
//!
//! So both run on one executor, wait for the same futures, and differ in where their frames are while they wait, and in
//! nothing else. Workloads that other runtimes run as well are in [`written`](super::written). Generics stand in square
//! brackets: `fn name[T: Copy](..)`. (The `$` is there because a macro that makes a macro cannot name its parameters
//! otherwise.)

macro_rules! both {
    (
        $d:tt $wait:ident => $(#[$doc:meta])*
        fn $name:ident $([$($generics:tt)*])? ($($arguments:tt)*) $(-> $output:ty)? $body:block
    ) => {
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "some bodies are closed")]
            use super::*;

            /// As a task, or a part of one.
            pub(super) async fn stackless $(<$($generics)*>)? ($($arguments)*) $(-> $output)? {
                macro_rules! $wait { ($d future:expr) => { $d future.await } }
                $body
            }

            /// As a fiber, or a part of one.
            pub(super) fn stackful $(<$($generics)*>)? ($($arguments)*) $(-> $output)? {
                macro_rules! $wait { ($d future:expr) => { camshaft::fiber::wait($d future) } }
                $body
            }
        }
    };
}

pub(crate) use both;
