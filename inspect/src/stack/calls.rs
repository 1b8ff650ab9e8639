//! Names and lines of calls.
//!
//! An address stands for one call, and for those that the compiler has put into that function. With line tables each has its
//! line; a program without has the names of its symbols, and one that was stripped has addresses. What the runtime and the
//! standard library call on the way is left out, by name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use addr2line::{Context, LookupContinuation as _, LookupResult};

use crate::image::{Dwarf, Image, Slice};
use crate::names::function;
use crate::stack::modules::{Module, exported};
use crate::types::Site;

/// A function that was called and has not returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: Arc<str>,
    /// The line that it is at.
    pub(crate) site: Option<Site>,
    /// What is not known of it, and why.
    pub(crate) limit: Option<Arc<str>>,
}

/// The calls that addresses stand for.
#[derive(Default)]
pub(crate) struct Calls {
    known: HashMap<u64, Arc<[Call]>>,
    /// The tables of the program, while there is something to be looked up.
    context: Option<Option<Context<Slice>>>,
}

impl Calls {
    /// Forgets everything: the files are others.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Closes what was opened to answer.
    pub(crate) fn rest(&mut self) {
        self.context = None;
    }

    /// The calls at an address, the last one first. None if all of them are left out.
    pub(crate) fn at(
        &mut self,
        image: &Image,
        module: Option<&Module>,
        address: u64,
    ) -> Arc<[Call]> {
        if let Some(known) = self.known.get(&address) {
            return Arc::clone(known);
        }
        let calls: Arc<[Call]> = match module {
            Some(module) if module.is_program => {
                let calls = self.own(image, address.wrapping_sub(module.bias));
                calls
                    .into_iter()
                    .filter(|call| !call.is_plumbing())
                    .collect()
            }
            Some(module) => [foreign(module, address)].into(),
            None => [Call {
                name: format!("address {address:#x}").into(),
                site: None,
                limit: Some("it belongs to no file".into()),
            }]
            .into(),
        };
        self.known.insert(address, Arc::clone(&calls));
        calls
    }

    /// The calls at an address of the program, as linked.
    fn own(&mut self, image: &Image, address: u64) -> Vec<Call> {
        let context = self.context.get_or_insert_with(|| {
            let main = Arc::clone(image.main()?);
            Context::from_arc_dwarf(main).ok()
        });
        let calls = context
            .as_ref()
            .map(|context| lines(context, image, address));
        let mut calls = calls.unwrap_or_default();
        // Line tables alone have no paths, and what was written in assembly is not described.
        if calls.last().is_none_or(|call| !call.name.contains("::")) {
            let last = calls.pop();
            let name = last.as_ref().map(|call| Arc::clone(&call.name));
            let name = match image.symbol(address) {
                Some(name) => function(&name).into(),
                None => name
                    .filter(|name| !name.is_empty())
                    .unwrap_or_else(|| format!("address {address:#x}").into()),
            };
            calls.push(Call {
                name,
                site: last.and_then(|call| call.site),
                limit: None,
            });
        }
        calls
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}

fn lines(context: &Context<Slice>, image: &Image, address: u64) -> Vec<Call> {
    let mut found = context.find_frames(address);
    let frames = loop {
        match found {
            LookupResult::Output(frames) => break frames,
            LookupResult::Load { load, continuation } => {
                let split: Option<Arc<Dwarf>> = image.split(load.dwo_id);
                found = continuation.resume(split);
            }
        }
    };
    let mut calls = Vec::new();
    let Ok(mut frames) = frames else { return calls };
    while let Ok(Some(frame)) = frames.next() {
        let name = frame
            .function
            .as_ref()
            .and_then(|name| name.raw_name().ok());
        let name = name.map(|name| function(&format!("{:#}", rustc_demangle::demangle(&name))));
        let site = frame.location.and_then(|location| {
            Some(Site {
                file: location.file?.into(),
                line: location.line?.into(),
            })
        });
        calls.push(Call {
            name: name.unwrap_or_default().into(),
            site,
            limit: None,
        });
    }
    calls
}

/// A function of a library.
fn foreign(module: &Module, address: u64) -> Call {
    let offset = address.wrapping_sub(module.bias);
    let name = exported(address).unwrap_or_else(|| format!("{} +{offset:#x}", module.file()));
    Call {
        name: name.into(),
        site: None,
        limit: Some(format!("in {}, of which lines are not told", module.file()).into()),
    }
}

/// What switches stacks and catches panics, and how closures are called.
const PLUMBING: [&str; 9] = [
    "camshaft_stackful",
    "corosensei",
    "std::panicking",
    "std::panic",
    "core::panic",
    "core::ops::function",
    "std::sys::backtrace",
    "__rust_try",
    "stack_init_trampoline",
];

/// Whose functions may be plumbing.
const OURS: [&str; 5] = ["core", "alloc", "std", "camshaft_stackful", "corosensei"];

/// The files of functions that have no path in their names, from the folder of their crate on.
const FILES: [&str; 5] = [
    "/library/std/src/panicking.rs",
    "/library/std/src/panic.rs",
    "/library/core/src/panic/unwind_safe.rs",
    "/library/core/src/ops/function.rs",
    "/library/std/src/sys/backtrace.rs",
];

impl Call {
    /// Whether it is a part of how fibers run, and not of what they run.
    fn is_plumbing(&self) -> bool {
        let file = self.site.as_ref().map(|site| &*site.file);
        is_plumbing(&self.name) || (!self.name.contains("::") && file.is_some_and(is_ours))
    }
}

/// Whether a file of source has nothing but plumbing.
fn is_ours(file: &str) -> bool {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let around = here.trim_end_matches('/').rsplit_once('/');
    let inside = around.and_then(|(around, _)| file.strip_prefix(around));
    let version = concat!("/camshaft-stackful-", env!("CARGO_PKG_VERSION"), "/");
    let fibers = |rest: &str| rest.starts_with("/stackful/src/") || rest.starts_with(version);
    let switch = file.rsplit_once("/src/").map(|(before, _)| before);
    let switch = switch.and_then(|folder| folder.rsplit('/').next());
    inside.is_some_and(fibers)
        || switch.is_some_and(|folder| folder.starts_with("corosensei-0."))
        || FILES.iter().any(|ours| file.ends_with(ours))
}

/// Whether a function is a part of how fibers run, and not of what they run.
///
/// `<A as B>::f` may be written by whoever has written either. It is left out if both are of the runtime or the standard library.
fn is_plumbing(name: &str) -> bool {
    let begins = |name: &str, with: &str| {
        let rest = name.strip_prefix(with);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with("::") || with == "stack_init_trampoline"
        })
    };
    let among = |name: &str, list: &[&str]| list.iter().any(|with| begins(name, with));
    let Some(inner) = name.strip_prefix('<') else {
        return among(name, &PLUMBING);
    };
    let (of, trait_) = inner.split_once(" as ").unwrap_or((inner, ""));
    let both = [of, trait_];
    both.iter().any(|name| among(name, &PLUMBING))
        && both
            .iter()
            .all(|name| name.is_empty() || among(name, &OURS))
}

#[cfg(test)]
mod tests {
    use super::{is_ours, is_plumbing};

    #[test]
    fn what_the_user_wrote_is_never_left_out() {
        for name in [
            "app::main::{closure}",
            "corosensei2::run",
            "std::panic_free::run",
            "<app::Job as core::ops::function::FnOnce<()>>::call_once",
            "<core::panic::unwind_safe::AssertUnwindSafe<F> as app::Run>::run",
            "<camshaft_stackful::fiber::Fiber<F, T> as app::Run>::run",
            "<app::Parser>::next",
            "core::iter::traits::iterator::Iterator::for_each",
            "",
        ] {
            assert!(!is_plumbing(name), "{name}");
        }
    }

    #[test]
    fn files_tell_of_functions_without_a_path() {
        let around = env!("CARGO_MANIFEST_DIR").trim_end_matches("/inspect");
        for (file, ours) in [
            (format!("{around}/stackful/src/frame.rs"), true),
            ("/home/me/stackful/src/frame.rs".to_owned(), false),
            ("/cargo/corosensei-0.3.4/src/coroutine.rs".to_owned(), true),
            ("/home/me/corosensei/src/coroutine.rs".to_owned(), false),
            ("/rustc/1/library/std/src/panicking.rs".to_owned(), true),
            ("/home/me/app/src/panicking.rs".to_owned(), false),
        ] {
            assert_eq!(is_ours(&file), ours, "{file}");
        }
    }

    #[test]
    fn how_fibers_run_is_left_out() {
        for name in [
            "camshaft_stackful::wait::wait",
            "<camshaft_stackful::here::Here>::suspend",
            "<camshaft_stackful::frame::Core>::lay_out::{closure}",
            "<corosensei::coroutine::Yielder<Input, Yield>>::suspend",
            "std::panicking::catch_unwind::do_call",
            "std::panic::catch_unwind",
            "<core::panic::unwind_safe::AssertUnwindSafe<F> as core::ops::function::FnOnce<()>>::call_once",
            "core::ops::function::FnOnce::call_once",
            "__rust_try",
            "stack_init_trampoline_yield",
        ] {
            assert!(is_plumbing(name), "{name}");
        }
    }
}
