//! Polls a future and tells where it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use camshaft_inspect::{Node, Precision, Site, Standing, layout_of_val, tree_of};

use crate::described;

const SOURCES: &[(&str, &str)] = &[
    ("boxed.rs", include_str!("boxed.rs")),
    ("combinators.rs", include_str!("combinators.rs")),
    ("crates.rs", include_str!("crates.rs")),
    ("generic.rs", include_str!("generic.rs")),
    ("handmade.rs", include_str!("handmade.rs")),
    ("labels.rs", include_str!("labels.rs")),
    ("macros.rs", include_str!("macros.rs")),
    ("plain.rs", include_str!("plain.rs")),
    ("streams.rs", include_str!("streams.rs")),
];

/// Makes a test of a future, and of what is to be told of it after one poll, or after so many.
macro_rules! zoo {
    ($name:ident, $future:expr, $expected:expr) => {
        zoo!($name, 1, $future, $expected);
    };
    ($name:ident, $polls:literal, $future:expr, $expected:expr) => {
        #[test]
        fn $name() {
            if !$crate::common::is_described() {
                return;
            }
            assert_eq!($crate::common::show($polls, $future), $expected);
        }
    };
}
pub(crate) use zoo;

/// Whether this program can be looked into.
pub(crate) fn is_described() -> bool {
    let missing = layout_of_val(&async {}).err();
    described::is_described(missing.map(|missing| missing.to_string()))
}

#[test]
fn there_is_debug_information_if_the_build_asked_for_it() {
    let _ = is_described();
}

/// Polls a future so many times and tells where it is.
pub(crate) fn show<F: Future>(polls: usize, future: F) -> String {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        let _ = poll(future.as_mut());
    }
    let tree = tree_of(&*future);
    let json = tree.to_json();
    assert!(json.starts_with('{') && json.ends_with('}'), "{json}");
    text(&tree.root)
}

/// Polls a future; a panic is as good as an end.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match catch_unwind(AssertUnwindSafe(|| future.poll(&mut context))) {
        Ok(Poll::Ready(output)) => Some(output),
        Ok(Poll::Pending) | Err(_) => None,
    }
}

fn text(node: &Node) -> String {
    let held = if node.held { "~" } else { "" };
    let mut text = format!("{held}{}", short(&node.name));
    let site = || {
        node.site
            .as_ref()
            .map_or_else(|| "@nowhere".to_owned(), place)
    };
    match &node.standing {
        Standing::Suspended => text.push_str(&site()),
        Standing::Unresumed => text.push_str("!new"),
        Standing::Returned => text.push_str("!done"),
        Standing::Panicked => text.push_str("!panicked"),
        Standing::Future(Some(variant)) => text.push_str(&format!("::{variant}")),
        Standing::Future(None) => {}
        _ => text.push('?'),
    }
    if (node.limit.is_some() && !text.ends_with('?'))
        || node.precision == Precision::MacroDefinition
    {
        text.push('?');
    }
    if !node.children.is_empty() {
        let children: Vec<_> = node.children.iter().map(self::text).collect();
        text.push_str(&format!("({})", children.join(", ")));
    }
    text
}

/// The end of a name, without what it is generic over.
fn short(name: &str) -> &str {
    let path = name.split('<').next().unwrap_or_default();
    path.rsplit("::").next().unwrap_or_default()
}

fn place(site: &Site) -> String {
    let file = site.file.rsplit('/').next().unwrap_or_default();
    let line = usize::try_from(site.line).expect("files are not that long");
    let ours = site.file.contains("/tests/zoo/");
    let source = SOURCES.iter().find(|(name, _)| ours && *name == file);
    let text = source.and_then(|(_, source)| source.lines().nth(line - 1));
    match text.and_then(|text| text.rsplit_once("// @")) {
        Some((_, name)) => format!("@{name}"),
        None => format!("@{file}:{line}"),
    }
}
