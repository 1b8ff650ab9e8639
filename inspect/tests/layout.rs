//! What futures hold: sizes, states, lines, and what is stored twice.

mod common;

use std::future::{pending, ready};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use camshaft_inspect::{Catalog, Layout, Missing, Precision, Role, layout_of, layout_of_val};

/// Whether this program can be looked into.
fn is_described() -> bool {
    let missing = layout_of_val(&async {}).err();
    common::is_described(missing.map(|missing| missing.to_string()))
}

fn layout<F: Future>(future: &F) -> Layout {
    // The body of a function that nobody polls is not in the program.
    std::hint::black_box(F::poll as fn(Pin<&mut F>, &mut Context<'_>) -> Poll<F::Output>);
    let layout = layout_of_val(future).expect("tests are built with full debug information");
    assert_eq!(layout.size, size_of_val(future) as u64);
    assert_eq!(layout.align, align_of_val(future) as u64);
    layout
}

/// The lines of the awaits.
fn lines(layout: &Layout) -> Vec<u64> {
    let awaits = layout.states.iter().filter(|state| state.state.value > 2);
    awaits
        .map(|state| {
            let site = state.state.site.as_ref().expect("each await has a line");
            assert!(site.file.ends_with(file!()), "{site}");
            assert_eq!(state.state.precision, Precision::Exact);
            site.line
        })
        .collect()
}

const TWO_AWAITS: u64 = line!() as u64;
async fn two_awaits(size: usize) -> usize {
    let text = vec![0u8; size];
    pending::<()>().await;
    let more = [1u64; 32];
    ready(more.as_ptr()).await;
    text.len() + more.len()
}

#[test]
fn each_state_has_its_line_and_what_it_holds() {
    if !is_described() {
        return;
    }
    let layout = layout(&two_awaits(3));
    assert!(
        layout
            .name
            .ends_with("layout::two_awaits::{async_fn_env#0}"),
        "{}",
        layout.name
    );
    assert_eq!(
        layout.defined.as_ref().map(|site| site.line),
        Some(TWO_AWAITS + 1)
    );
    assert_eq!(
        layout.ends.as_ref().map(|site| site.line),
        Some(TWO_AWAITS + 7)
    );
    assert_eq!(lines(&layout), [TWO_AWAITS + 3, TWO_AWAITS + 5]);
    let names = |state: usize| -> Vec<_> {
        let holds = &layout.states[state].holds;
        assert!(holds.is_sorted_by(|a, b| a.size >= b.size), "{layout}");
        holds.iter().map(|held| (&*held.name, held.size)).collect()
    };
    assert_eq!(names(0), [("size", 8)]);
    assert!(names(3).contains(&("text", 24)), "{layout}");
    assert!(!names(3).contains(&("more", 256)), "{layout}");
    assert_eq!(names(4)[0], ("more", 256));
    assert!(layout.states[4].unused < layout.states[3].unused);
    assert_eq!(
        layout.fullest().map(|state| &*state.state.name),
        Some("Suspend1")
    );
}

#[test]
fn what_is_awaited_and_what_was_captured_is_told_from_the_rest() {
    if !is_described() {
        return;
    }
    let layout = layout(&two_awaits(3));
    let role = |state: usize, name: &str| {
        let mut holds = layout.states[state].holds.iter();
        holds.find(|held| &*held.name == name).map(|held| held.role)
    };
    assert_eq!(role(0, "size"), Some(Role::Captured));
    assert_eq!(role(3, "text"), Some(Role::Local));
    assert_eq!(role(3, "__awaitee"), Some(Role::Awaited));
}

struct Large([u8; 1000]);

impl Drop for Large {
    fn drop(&mut self) {}
}

async fn keeps_its_argument(large: Large) -> u8 {
    pending::<()>().await;
    large.0[0]
}

async fn drops_its_argument(large: Large) {
    drop(large);
    pending::<()>().await;
}

#[test]
fn an_argument_that_lives_across_an_await_is_stored_twice() {
    if !is_described() {
        return;
    }
    let layout_kept = layout(&keeps_its_argument(Large([0; 1000])));
    let doubled: Vec<_> = layout_kept
        .doubled
        .iter()
        .map(|doubled| (&*doubled.name, doubled.size))
        .collect();
    assert_eq!(doubled, [("large", 1000)]);
    assert!(
        layout_kept.size >= 2000 && layout_kept.waste() >= 1000,
        "{layout_kept}"
    );
    let layout = layout(&drops_its_argument(Large([0; 1000])));
    assert!(layout.doubled.is_empty(), "{layout}");
    assert!(layout.size < 2000 && layout.waste() < 100, "{layout}");
}

async fn hides_its_argument(large: Large) -> u8 {
    drop(large);
    let large = Large([1; 1000]);
    pending::<()>().await;
    large.0[0]
}

#[test]
fn another_variable_of_the_name_is_not_claimed_to_be_the_argument() {
    if !is_described() {
        return;
    }
    let hidden = layout(&hides_its_argument(Large([0; 1000])));
    let certain: Vec<_> = hidden.doubled.iter().map(|one| one.certain).collect();
    assert_eq!(certain, [false], "{hidden}");
    assert!(hidden.waste() < 1000, "{hidden}");
    assert!(
        hidden.to_string().contains("perhaps stored twice: large"),
        "{hidden}"
    );
    assert!(hidden.to_json().contains("\"certain\":false"), "{hidden}");
    let large = Large([0; 1000]);
    let block = layout(&async move {
        let large = Large([large.0[0]; 1000]);
        pending::<()>().await;
        large.0[0]
    });
    assert!(block.doubled.iter().all(|one| !one.certain), "{block}");
    let kept = layout(&keeps_its_argument(Large([0; 1000])));
    assert!(kept.doubled.iter().all(|one| one.certain), "{kept}");
    assert!(kept.to_string().contains("  stored twice: large"), "{kept}");
}

async fn pins_two() {
    let first = std::pin::pin!([0u8; 100]);
    let second = std::pin::pin!([0u8; 300]);
    pending::<()>().await;
    std::hint::black_box((first, second));
}

#[test]
fn what_the_compiler_does_not_describe_is_said_to_be_hidden() {
    if !is_described() {
        return;
    }
    let layout_pinned = layout(&pins_two());
    let state = &layout_pinned.states[3];
    let hidden: Vec<_> = state.hidden.iter().map(|name| &**name).collect();
    assert_eq!(hidden, ["pinned"], "{layout_pinned}");
    assert!(layout_pinned.has_hidden() && layout_pinned.padding() == 0);
    assert!(!layout(&keeps_its_argument(Large([0; 1000]))).has_hidden());
    assert!(!layout(&two_awaits(3)).has_hidden());
}

#[test]
fn blocks_and_closures_are_coroutines_too() {
    if !is_described() {
        return;
    }
    let text = String::from("a");
    let line = u64::from(line!()) + 2;
    let block = async move {
        pending::<()>().await;
        text.len()
    };
    assert_eq!(lines(&layout(&block)), [line]);
    let line = u64::from(line!()) + 1;
    let closure = async |number: u64| pending::<u64>().await + number;
    assert_eq!(lines(&layout(&closure(3))), [line]);
    let layout = layout_of::<[u8; 3]>();
    assert!(matches!(layout, Err(Missing::Type(name)) if name == "[u8; 3]"));
}

#[test]
fn any_program_can_be_looked_at() {
    if !is_described() {
        return;
    }
    let path = std::env::current_exe().expect("a test is a program");
    let mut catalog = Catalog::open(&path).expect("it can be read");
    assert_eq!(catalog.missing(), []);
    let layouts: Vec<_> = catalog
        .coroutines()
        .into_iter()
        .filter_map(|key| catalog.layout(key))
        .collect();
    let size = |name: &str| -> Vec<_> {
        let mut found = layouts.iter().filter(|layout| layout.name.ends_with(name));
        found.by_ref().map(|layout| layout.size).collect()
    };
    let expected = size_of_val(&two_awaits(0)) as u64;
    assert_eq!(size("layout::two_awaits::{async_fn_env#0}"), [expected]);
    let json = layouts[0].to_json();
    assert!(
        json.starts_with("{\"name\":\"") && json.ends_with("]}"),
        "{json}"
    );
}

#[test]
fn a_file_that_is_no_program_is_an_error() {
    for path in [Path::new(file!()), Path::new("/proc/self/nothing")] {
        let error = Catalog::open(path).expect_err("it is no program");
        assert!(matches!(error, Missing::Unreadable(_)), "{error}");
    }
}
