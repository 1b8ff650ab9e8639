//! Every byte of every coroutine of the zoo is accounted for, once.

use camshaft_inspect::{Catalog, Layout, StateLayout};

use crate::common::is_described;

/// Which bytes something is in.
fn bytes(layout: &Layout, states: &[&StateLayout]) -> Vec<bool> {
    let size = usize::try_from(layout.size).expect("it is in memory");
    let mut used = vec![false; size];
    let mut fill = |offset: u64, length: u64| {
        let end = offset + length;
        assert!(end <= layout.size, "{layout}");
        let range = offset..end;
        range.for_each(|at| used[usize::try_from(at).expect("it is below the size")] = true);
    };
    for held in states.iter().flat_map(|state| &state.holds) {
        fill(held.offset, held.size);
    }
    if let Some((offset, length)) = layout.tag {
        fill(offset, length);
    }
    used
}

fn count(used: &[bool], is: bool) -> u64 {
    used.iter().filter(|one| **one == is).count() as u64
}

#[test]
fn sizes_are_members_and_padding() {
    if !is_described() {
        return;
    }
    let path = std::env::current_exe().expect("a test is a program");
    let mut catalog = Catalog::open(path).expect("it can be read");
    let keys = catalog.coroutines();
    let (mut looked, mut wide) = (0, 0);
    for key in keys {
        let Some(layout) = catalog.layout(key) else {
            continue;
        };
        let tag = layout.tag.expect("a coroutine has one").1;
        assert_eq!(tag > 1, layout.states.len() > 256, "{layout}");
        wide += usize::from(tag > 1);
        let all: Vec<_> = layout.states.iter().collect();
        let used = bytes(&layout, &all);
        if !layout.has_hidden() {
            assert_eq!(layout.padding(), count(&used, false), "{layout}");
            assert_eq!(
                layout.size,
                layout.padding() + count(&used, true),
                "{layout}"
            );
        }
        for state in all {
            let used = bytes(&layout, &[state]);
            assert_eq!(state.used, count(&used, true), "{layout}");
            assert_eq!(state.unused, count(&used, false), "{layout}");
        }
        assert!(layout.waste() <= layout.size, "{layout}");
        looked += 1;
    }
    assert!(
        looked > 100 && wide > 0,
        "{looked} coroutines, {wide} with wide tags"
    );
}
