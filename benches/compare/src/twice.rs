//! One function, written once, as an `async fn` and as a plain function for a fiber.
//!
//! Stackless and stackful are to differ in where frames are kept and in nothing else. So what tasks and fibers run is
//! written once, with `wait!(future)` where it waits, and [`twice!`] makes two functions of it:
//!
//! ```text
//! twice! { fn hello(name: String) -> usize { wait!(sleep(MOMENT)); name.len() } }
//!
//!     async fn hello::task(name: String) -> usize     wait!(x) is x.await
//!           fn hello::fiber(name: String) -> usize    wait!(x) is fiber::wait(x)
//! ```
//!
//! So both run on one executor, wait for the same futures, and differ in where their frames are while they wait, and in
//! nothing else. Generics stand in square brackets: `fn hello[T: Copy](thing: T)`. What other models and other runtimes run
//! as well is written with [`models::written`](crate::models::written).

/// How a task waits.
macro_rules! await_in_task {
    ($future:expr) => {
        $future.await
    };
}

/// How a fiber waits.
macro_rules! wait_in_fiber {
    ($future:expr) => {
        camshaft::fiber::wait($future)
    };
}

/// Makes a module of a function, with `task` and `fiber` in it.
macro_rules! twice {
    (
        $(#[$meta:meta])*
        fn $name:ident $([$($generics:tt)*])? ($($arguments:tt)*) $(-> $output:ty)? $body:block
    ) => {
        $(#[$meta])*
        pub(crate) mod $name {
            #[allow(clippy::wildcard_imports, unused_imports, reason = "the body is that of a function outside")]
            use super::*;

            /// As a task, or a part of one.
            pub(crate) async fn task $(<$($generics)*>)? ($($arguments)*) $(-> $output)? {
                #[allow(unused_imports, reason = "some only end")]
                use $crate::twice::await_in_task as wait;
                $body
            }

            /// As a fiber, or a part of one.
            pub(crate) fn fiber $(<$($generics)*>)? ($($arguments)*) $(-> $output)? {
                #[allow(unused_imports, reason = "some only end")]
                use $crate::twice::wait_in_fiber as wait;
                $body
            }
        }
    };
}

pub(crate) use {await_in_task, twice, wait_in_fiber};

#[cfg(test)]
mod tests {
    use camshaft::fiber;
    use camshaft::task::yield_now;

    twice! {
        fn twice_as_much(number: u32) -> Result<u32, String> {
            wait!(yield_now());
            if number == 0 {
                return Err("nothing".to_owned());
            }
            Ok(number * 2)
        }
    }

    #[test]
    fn both_do_the_same() {
        camshaft::block_on(async {
            for number in [0, 21] {
                let fiber = fiber::spawn(move || twice_as_much::fiber(number));
                let expected = (number > 0).then_some(42).ok_or("nothing".to_owned());
                assert_eq!(twice_as_much::task(number).await, expected);
                assert_eq!(fiber.await.unwrap(), expected);
            }
        });
    }
}
