//! A hundred `async fn`s, each of which awaits the next. They are written out, because a future that contains itself must be
//! boxed, and because generic wrappers, `one(one(one(leaf)))`, keep the compiler busy for minutes: each level is a new type
//! that names all below it.

use std::hint::black_box;

use super::{Leaf, leaf};
use crate::measure::Sample;

macro_rules! chain {
    ($name:ident) => {
        async fn $name(what: Leaf) -> Option<Sample> {
            let found = leaf::task(what).await;
            black_box(());
            found
        }
    };
    ($name:ident $next:ident $($rest:ident)*) => {
        async fn $name(what: Leaf) -> Option<Sample> {
            let found = $next(what).await;
            black_box(());
            found
        }
        chain!($next $($rest)*);
    };
}

#[rustfmt::skip]
chain!(
    d100 d99 d98 d97 d96 d95 d94 d93 d92 d91 d90 d89 d88 d87 d86 d85 d84 d83 d82 d81 d80 d79 d78 d77 d76 d75 d74
    d73 d72 d71 d70 d69 d68 d67 d66 d65 d64 d63 d62 d61 d60 d59 d58 d57 d56 d55 d54 d53 d52 d51 d50 d49 d48 d47
    d46 d45 d44 d43 d42 d41 d40 d39 d38 d37 d36 d35 d34 d33 d32 d31 d30 d29 d28 d27 d26 d25 d24 d23 d22 d21 d20
    d19 d18 d17 d16 d15 d14 d13 d12 d11 d10 d9 d8 d7 d6 d5 d4 d3 d2 d1
);

/// Waits for what lies this deep.
pub(super) trait Descend {
    async fn descend(&self, what: Leaf) -> Option<Sample>;
}

macro_rules! depths {
    ($($depth:literal $name:ident),*) => {$(
        impl Descend for Depth<$depth> {
            async fn descend(&self, what: Leaf) -> Option<Sample> {
                $name(what).await
            }
        }
    )*};
}

/// A number of levels, for which there is a function.
pub(super) struct Depth<const LEVELS: u64>;

depths!(1 d1, 3 d3, 10 d10, 30 d30, 100 d100);
