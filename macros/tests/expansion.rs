//! Compiles and runs what the attributes expand to, on a stand-in for camshaft that polls once and notes its configuration.

use std::{cell::RefCell, future, io};

/// As much of camshaft as the attributes use.
mod fake {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the fake polls once"),
        }
    }

    pub(crate) mod runtime {
        use std::{future::Future, io};

        #[derive(Debug)]
        pub(crate) enum Backend {
            Auto,
            IoUring,
            Epoll,
        }

        #[derive(Debug)]
        pub(crate) enum Spin {
            Off,
            Adaptive,
            Always,
        }

        pub(crate) struct Builder(String);

        impl Builder {
            pub(crate) fn new() -> Self {
                Self(String::new())
            }

            fn note(self, what: &str) -> Self {
                Self(format!("{}{what} ", self.0))
            }

            pub(crate) fn backend(self, backend: Backend) -> Self {
                self.note(&format!("{backend:?}"))
            }

            pub(crate) fn spin(self, spin: Spin) -> Self {
                self.note(&format!("{spin:?}"))
            }

            pub(crate) fn ring_entries(self, entries: u32) -> Self {
                self.note(&entries.to_string())
            }

            pub(crate) fn paused_clock(self, paused: bool) -> Self {
                self.note(&paused.to_string())
            }

            pub(crate) fn name(self, name: &str) -> Self {
                self.note(name)
            }

            pub(crate) fn build(self) -> io::Result<Runtime> {
                if self.0.contains("refuse") {
                    return Err(io::Error::other("the kernel said no"));
                }
                super::super::CONFIGURATION
                    .with_borrow_mut(|configuration| *configuration = self.0);
                Ok(Runtime)
            }
        }

        pub(crate) struct Runtime;

        impl Runtime {
            pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
                super::block_on(future)
            }
        }
    }
}

thread_local! {
    static CONFIGURATION: RefCell<String> = const { RefCell::new(String::new()) };
}

fn configuration() -> String {
    CONFIGURATION.take()
}

#[camshaft_macros::main(crate = "fake")]
async fn number() -> u8 {
    future::ready(7).await
}

#[camshaft_macros::main(
    crate = "crate::fake",
    name = "n",
    paused_clock = false,
    ring_entries = 8,
    backend = "auto",
    spin = "always"
)]
async fn configured() {}

#[camshaft_macros::main(crate = "fake", name = "refuse")]
async fn refused() {}

/// Errors of several types, which `?` turns into the one in the signature.
#[camshaft_macros::main(crate = "fake")]
async fn inferred() -> Result<(), Box<dyn std::error::Error>> {
    let _: u8 = "1".parse()?;
    Err(io::Error::other("late"))?;
    Ok(())
}

#[camshaft_macros::main(crate = "fake")]
async fn opaque() -> impl Iterator<Item = u8> {
    1..3
}

// Named like what the expansion calls its own variable.
#[camshaft_macros::test(crate = "fake", backend = "epoll", spin = "off")]
async fn runtime() {
    assert_eq!(configuration(), "Epoll Off ");
}

#[camshaft_macros::test(crate = "fake", backend = "io_uring", spin = "adaptive")]
async fn error() -> io::Result<()> {
    assert_eq!(configuration(), "IoUring Adaptive ");
    Ok(())
}

/// Doc comments stay.
#[camshaft_macros::test(crate = "fake")]
#[should_panic(expected = "on purpose")]
async fn a_panic_is_expected() {
    panic!("on purpose");
}

#[should_panic(expected = "above")]
#[camshaft_macros::test(crate = "fake")]
async fn attributes_may_stand_above() {
    panic!("above");
}

#[camshaft_macros::test(crate = "fake")]
#[ignore = "it would fail"]
async fn an_ignored_test_does_not_run() {
    panic!("it was ignored");
}

#[camshaft_macros::test(crate = "fake")]
#[cfg(any())]
async fn a_test_that_is_configured_away_is_not_compiled() {
    does_not_exist();
}

#[test]
fn the_output_is_returned() {
    assert_eq!(number(), 7);
    assert_eq!(
        inferred().expect_err("it ends with an error").to_string(),
        "late"
    );
    assert_eq!(opaque().count(), 2);
}

#[test]
fn every_option_reaches_the_builder() {
    configured();
    assert_eq!(configuration(), "n false 8 Auto Always ");
}

#[test]
#[should_panic(expected = "camshaft cannot build the runtime: the kernel said no")]
fn a_runtime_that_cannot_be_built_says_why() {
    refused();
}

macro_rules! in_a_macro {
    ($name:ident, $runtime_name:expr, $body:block) => {
        #[camshaft_macros::test(crate = "fake", name = $runtime_name)]
        async fn $name() $body
    };
}

in_a_macro!(it_works_inside_a_macro, "expr", {
    assert_eq!(configuration(), "expr ");
});
