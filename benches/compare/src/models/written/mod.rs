//! Workloads that are written once, and compiled for every model.
//!
//! [`in_models!`] makes of one text `async fn` on any runtime, functions on fibers, on fibers without futures, and on
//! threads. What waits is marked with `wait!`, as a reader of `async` code would mark it with `.await`:
//!
//! | in the workload | tasks | fibers | threads, native fibers |
//! |---|---|---|---|
//! | `wait!(operation)` | `operation.await` | `fiber::wait(operation)`, of the same future | `operation` blocks |
//! | `call!(f(a))` | `f(a).await` | `f(a)` | `f(a)` |
//! | `start!(f(a))` | spawns, detached | spawns, detached | spawns, detached |
//! | `sleep!(time)`, within `wait!` | of the runtime | of ours | their own |
//! | `give_way!()` | `yield_now().await` of the runtime | `fiber::yield_now()` | their own |
//! | `Sender`, `Receiver`, `channel`, `Flag` | of one thread: [`channel`](super::channel) | the very same | their own |

/// What one of many does in a window that opens when all are there.
#[derive(Debug)]
pub(crate) enum Role<R, S> {
    /// Hears of all others that they are ready, opens the window, and closes it.
    Clock(R),
    /// Says that it is ready, and works on meanwhile.
    Other(S),
}

pub(crate) mod fiber;
#[cfg(feature = "may")]
#[allow(
    unsafe_code,
    reason = "may has whoever spawns promise what it cannot check"
)]
pub(crate) mod may;
pub(crate) mod native;
pub(crate) mod task;
pub(crate) mod thread;

/// Compiles functions for each of the models named, in a module of that name.
///
/// Each module has the functions with the arguments that are written here; those of `task` are `async`, and generic over
/// the runtime `R`.
macro_rules! in_models {
    (@task { $($(#[$doc:meta])* fn $name:ident($($argument:ident: $of:ty),*) $(-> $output:ty)? $body:block)* }) => {
        pub(super) mod task {
            use super::*;
            #[allow(clippy::allow_attributes, unused_imports, reason = "not every workload needs all of it")]
            use crate::models::written::task::*;

            $($(#[$doc])*
            pub(crate) async fn $name<R: crate::peers::Runtime>($($argument: $of),*) $(-> $output)? $body)*
        }
    };
    (@$model:ident { $($(#[$doc:meta])* fn $name:ident($($argument:ident: $of:ty),*) $(-> $output:ty)? $body:block)* }) => {
        pub(super) mod $model {
            use super::*;
            #[allow(clippy::allow_attributes, unused_imports, reason = "not every workload needs all of it")]
            use crate::models::written::$model::*;

            $($(#[$doc])*
            pub(crate) fn $name($($argument: $of),*) $(-> $output)? $body)*
        }
    };
    ([$($(#[$when:meta])* $model:ident),*] $functions:tt) => {
        $($(#[$when])*
        crate::models::written::in_models! { @$model $functions })*
    };
}
pub(crate) use in_models;
