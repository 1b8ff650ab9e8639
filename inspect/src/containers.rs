//! What kind of thing a type is for somebody who looks for futures in it.
//!
//! Most types are walked as they are built: members, variants, elements, what a box points to. The few that are known by name
//! have their elements behind raw pointers, or say by a member which of their bytes are something.

use std::sync::Arc;

use crate::catalog::{Catalog, State};
use crate::tree::{Node, Standing};
use crate::types::{Member, Pointer, Shape, Site, Type, TypeKey};

/// What a walk needs to know of a type, found out once.
pub(crate) struct Note {
    pub(crate) of: Arc<Type>,
    pub(crate) label: Arc<str>,
    /// Where its `poll` is written, if it has one: it is a future, or a stream. Several places are those of types of one name.
    polls: Vec<Site>,
    /// Whether a type with the same name, generic over something else, has a `poll`.
    family: bool,
    pub(crate) nature: Nature,
}

pub(crate) enum Nature {
    /// Nothing in it is a future.
    Opaque,
    /// A struct whose members are looked at.
    Members,
    Coroutine(Arc<[State]>),
    Enum,
    Array(TypeKey, u64),
    /// A pointer to something that its owner alone may poll.
    Owned(TypeKey),
    /// A shared reference: closures poll through it, others do not.
    Shared(TypeKey),
    /// A trait object: where its two pointers are, and whether the trait is one of futures.
    Dyn {
        data: u64,
        vtable: u64,
        future: bool,
    },
    /// A pointer to many: where it is, where their number is, and what they are.
    Many {
        data: u64,
        length: u64,
        of: TypeKey,
        owned: bool,
    },
    /// A ring of many: `VecDeque`.
    Ring {
        data: u64,
        capacity: u64,
        head: u64,
        length: u64,
        of: TypeKey,
    },
    /// `Rc` or `Arc`: where the pointer is, and what it points to.
    Counted {
        pointer: u64,
        inner: TypeKey,
    },
    /// The tasks of a `FuturesUnordered` in a list: where its head is, and where a task has its future and the next task.
    Unordered {
        head: u64,
        task: TypeKey,
    },
    /// A map: known to hold something that is not looked into.
    Map,
    /// A union, such as `MaybeUninit`: whether anything is in it, and what, nothing tells.
    Union,
}

impl Nature {
    /// Whether what it leads to lies elsewhere.
    pub(crate) fn is_pointer(&self) -> bool {
        !matches!(
            self,
            Self::Opaque
                | Self::Members
                | Self::Coroutine(_)
                | Self::Enum
                | Self::Array(..)
                | Self::Union
        )
    }
}

impl Note {
    pub(crate) fn of(catalog: &mut Catalog, key: TypeKey) -> Option<Self> {
        let of = catalog.get(key)?;
        let polls = catalog.polls(key);
        let nature = nature(catalog, key, &of).unwrap_or(Nature::Opaque);
        Some(Self {
            label: catalog.label(key, &of).into(),
            family: catalog.is_family(&of),
            polls,
            nature,
            of,
        })
    }

    /// Whether it is known to be a future: it has a `poll`. One that was inlined wherever it is called has left no trace, so those
    /// of the standard library are known by name.
    pub(crate) fn has_poll(&self) -> bool {
        !self.polls.is_empty() || self.of.name.starts_with("core::future::")
    }

    /// The lines that are known of it.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &Site> {
        let states = match &self.nature {
            Nature::Coroutine(states) => &states[..],
            _ => &[],
        };
        let states = states.iter().filter_map(|state| state.site.as_ref());
        self.polls.iter().chain(states)
    }

    /// A node for it, with the line of its `poll`. If that may be one of several, these are said.
    pub(crate) fn node(&self, variant: Option<Arc<str>>) -> Node {
        let mut node = Node::new(Standing::Future(variant), Arc::clone(&self.label));
        match &self.polls[..] {
            [] => {}
            [one] => node.site = Some(one.clone()),
            several => {
                let lines: Vec<_> = several.iter().map(Site::to_string).collect();
                node.limit = Some(format!("polled by {}", lines.join(" or ")).into());
            }
        }
        node
    }

    /// Whether it is likely to be a future, if a future is in it: its `poll` may have been inlined, and that of others like it
    /// was not.
    pub(crate) fn may_wrap(&self) -> bool {
        self.family && matches!(self.nature, Nature::Members | Nature::Enum)
    }

    /// Whether it is only a way to something else, which no tree should show.
    pub(crate) fn is_hidden(&self) -> bool {
        let hidden = [
            "core::pin::Pin<",
            "alloc::boxed::Box<",
            "&",
            "core::panic::unwind_safe::AssertUnwindSafe<",
            "camshaft_executor::builder::",
            "camshaft_executor::shared::Reporting<",
        ];
        hidden.iter().any(|name| self.of.name.starts_with(name))
    }

    /// Whether it is a future by itself, whatever it holds.
    pub(crate) fn is_future(&self) -> bool {
        match self.nature {
            Nature::Coroutine(_) | Nature::Dyn { .. } => true,
            _ => self.has_poll() && !self.is_hidden(),
        }
    }

    /// The types that it holds, or leads to.
    pub(crate) fn leads_to(&self) -> Vec<TypeKey> {
        match (&self.nature, &self.of.shape) {
            (Nature::Members | Nature::Union, _) => {
                self.of.members().iter().map(|member| member.of).collect()
            }
            (Nature::Enum, Shape::Enum(variants)) => {
                variants.list.iter().map(|variant| variant.of).collect()
            }
            (Nature::Array(to, _) | Nature::Owned(to) | Nature::Shared(to), _)
            | (Nature::Many { of: to, .. } | Nature::Ring { of: to, .. }, _)
            | (Nature::Counted { inner: to, .. } | Nature::Unordered { task: to, .. }, _) => {
                vec![*to]
            }
            (Nature::Map, _) => self.of.parameters.iter().map(|(_, key)| *key).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn is_closure(&self) -> bool {
        self.of.name.contains("::{closure_env#")
            && self.of.short_name().starts_with("{closure_env#")
    }
}

fn nature(catalog: &mut Catalog, key: TypeKey, of: &Type) -> Option<Nature> {
    Some(match &of.shape {
        Shape::Coroutine(_) => Nature::Coroutine(catalog.states(key)?),
        Shape::Enum(_) => Nature::Enum,
        Shape::Union(_) => Nature::Union,
        Shape::Array(element, count) => Nature::Array(*element, *count),
        Shape::Pointer(Pointer::Box | Pointer::Mut, target) => Nature::Owned(*target),
        Shape::Pointer(Pointer::Shared, target) => Nature::Shared(*target),
        Shape::Struct(_) => structure(catalog, of)?,
        _ => Nature::Opaque,
    })
}

fn structure(catalog: &mut Catalog, of: &Type) -> Option<Nature> {
    let name = &*of.name;
    let target_name = target_name(name).unwrap_or_default();
    if target_name.starts_with("dyn ")
        && let (Some(data), Some(vtable)) = (of.member("pointer"), of.member("vtable"))
    {
        return Some(trait_object(name, data, vtable));
    }
    if target_name.starts_with('[')
        && let (Some(data), Some(length)) = (of.member("data_ptr"), of.member("length"))
    {
        let owned = !name.starts_with('&') || name.starts_with("&mut ");
        return Some(Nature::Many {
            of: target(catalog, data.of)?,
            data: data.offset,
            length: length.offset,
            owned: owned && !name.starts_with('*'),
        });
    }
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if starts(&["alloc::vec::Vec<"]) {
        let buffer = of.member("buf")?;
        return Some(Nature::Many {
            data: buffer.offset + first_pointer(catalog, buffer.of, 8)?.0,
            length: of.member("len")?.offset,
            of: parameter(of, "T")?,
            owned: true,
        });
    }
    if starts(&["alloc::collections::vec_deque::VecDeque<"]) {
        return ring(catalog, of);
    }
    if starts(&["alloc::rc::Rc<", "alloc::sync::Arc<"]) {
        let (pointer, inner) = first_pointer(catalog, of.member("ptr")?.of, 4)?;
        let pointer = of.member("ptr")?.offset + pointer;
        return Some(Nature::Counted { pointer, inner });
    }
    if name.starts_with("futures_util::stream::futures_unordered::FuturesUnordered<") {
        let head = of.member("head_all")?;
        let (offset, task) = first_pointer(catalog, head.of, 4)?;
        return Some(Nature::Unordered {
            head: head.offset + offset,
            task,
        });
    }
    if starts(&[
        "std::collections::hash::",
        "hashbrown::",
        "alloc::collections::btree::",
    ]) {
        return Some(Nature::Map);
    }
    let blind = [
        "core::marker::PhantomData<",
        "alloc::rc::Weak<",
        "alloc::sync::Weak<",
    ];
    Some(if starts(&blind) {
        Nature::Opaque
    } else {
        Nature::Members
    })
}

/// What a pointer of this name points to. A wide one is described as a struct, but no struct of a program has such a name.
fn target_name(name: &str) -> Option<&str> {
    let pointers = ["&mut ", "&", "*const ", "*mut ", "alloc::boxed::Box<"];
    let target = pointers
        .iter()
        .find_map(|pointer| name.strip_prefix(pointer))?;
    Some(target.trim_start_matches('('))
}

fn trait_object(name: &str, data: &Member, vtable: &Member) -> Nature {
    let object = name.split_once("dyn ").map_or("", |(_, object)| object);
    let object = object.trim_start_matches('(');
    let future = [
        "core::future::future::Future<",
        "futures_core::stream::Stream<",
    ];
    // A trait of the standard library that is none of futures has none behind it that is polled.
    let never = ["core::", "alloc::", "std::"];
    if name.starts_with('*')
        || never.iter().any(|path| object.starts_with(path)) && !object.starts_with(future[0])
    {
        return Nature::Opaque;
    }
    Nature::Dyn {
        data: data.offset,
        vtable: vtable.offset,
        future: future.iter().any(|path| object.starts_with(path)),
    }
}

fn ring(catalog: &mut Catalog, of: &Type) -> Option<Nature> {
    let buffer = of.member("buf")?;
    let inner = catalog.get(buffer.of)?;
    let inner = inner.member("inner")?.clone();
    let capacity = catalog.get(inner.of)?.member("cap")?.offset;
    Some(Nature::Ring {
        data: buffer.offset + first_pointer(catalog, buffer.of, 8)?.0,
        capacity: buffer.offset + inner.offset + capacity,
        head: of.member("head")?.offset,
        length: of.member("len")?.offset,
        of: parameter(of, "T")?,
    })
}

fn parameter(of: &Type, name: &str) -> Option<TypeKey> {
    let mut parameters = of.parameters.iter();
    parameters
        .find(|(parameter, _)| &**parameter == name)
        .map(|(_, key)| *key)
}

/// The type that a pointer points to.
pub(crate) fn target(catalog: &mut Catalog, pointer: TypeKey) -> Option<TypeKey> {
    match catalog.get(pointer)?.shape {
        Shape::Pointer(_, target) => Some(target),
        _ => None,
    }
}

/// The first thin pointer in a struct: where it is, and what it points to.
pub(crate) fn first_pointer(
    catalog: &mut Catalog,
    key: TypeKey,
    depth: u32,
) -> Option<(u64, TypeKey)> {
    let of = catalog.get(key)?;
    if let Shape::Pointer(_, target) = of.shape {
        return Some((0, target));
    }
    let depth = depth.checked_sub(1)?;
    of.members().iter().find_map(|member| {
        let (offset, target) = first_pointer(catalog, member.of, depth)?;
        Some((member.offset + offset, target))
    })
}
