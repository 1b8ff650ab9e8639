//! What lies inside of a value, or behind its pointers.
//!
//! Here the kinds of [`Nature`] are walked: members, variants, elements, lists, trait objects. Lengths and links come from memory
//! that may be anything, so each loop counts down what the walk may still do.

use std::ops::Range;
use std::sync::Arc;

use crate::containers::{Nature, Note, first_pointer};
use crate::liveness::keeps;
use crate::load::little;
use crate::tree::Node;
use crate::types::{Member, Shape, TypeKey};
use crate::walk::{Place, Walker, Way, number, slice, tag};

impl Walker<'_> {
    /// Appends the futures that lie in a value, or behind its pointers.
    pub(crate) fn inside(&mut self, note: &Note, place: Place<'_>, out: &mut Vec<Node>) {
        let word =
            |offset: u64| number(place.bytes, offset, 8).and_then(|word| u64::try_from(word).ok());
        let before = out.len();
        let done = match note.nature {
            Nature::Opaque | Nature::Coroutine(_) => Some(()),
            Nature::Members => {
                let closure = place.way.closure || note.is_closure();
                let way = Way {
                    closure,
                    ..place.way
                };
                self.members(note.of.members(), Place { way, ..place }, out);
                if keeps(note) {
                    for node in &mut out[before..] {
                        node.held = !node.sure;
                    }
                }
                Some(())
            }
            Nature::Union => {
                let label = Arc::clone(&note.label);
                out.push(Node::limit(label, "unions are not looked into"));
                Some(())
            }
            Nature::Enum => self.enumeration(note, place, out),
            Nature::Array(element, count) => self.elements(element, place, count, out),
            Nature::Shared(_) | Nature::Many { owned: false, .. } if !place.way.closure => Some(()),
            Nature::Dyn { future: false, .. } if self.stale => Some(()),
            _ if self.stale => {
                let label = Arc::clone(&note.label);
                out.push(Node::limit(label, "not followed while its task runs"));
                Some(())
            }
            Nature::Owned(target) | Nature::Shared(target) => {
                word(0).map(|at| self.follow(target, at, place.way, out))
            }
            Nature::Dyn {
                data,
                vtable,
                future,
            } => word(data)
                .zip(word(vtable))
                .map(|(data, vtable)| self.trait_object(note, data, vtable, future, out)),
            Nature::Many {
                data, length, of, ..
            } => word(data)
                .zip(word(length))
                .map(|(data, length)| self.many(of, data, 0..length, u64::MAX, out)),
            Nature::Ring {
                data,
                capacity,
                head,
                length,
                of,
            } => (|| {
                let (data, capacity) = (word(data)?, word(capacity)?);
                let (head, length) = (word(head)?, word(length)?);
                self.many(of, data, head..head.checked_add(length)?, capacity, out);
                Some(())
            })(),
            Nature::Counted { pointer, inner } => {
                word(pointer).map(|at| self.follow(inner, at, Way::default(), out))
            }
            Nature::Unordered { head, task } => {
                word(head).and_then(|head| self.unordered(task, head, out))
            }
            Nature::Map => {
                out.push(Node::limit(
                    Arc::clone(&note.label),
                    "maps are not looked into",
                ));
                Some(())
            }
        };
        if done.is_none() {
            out.truncate(before);
            out.push(Node::limit(
                Arc::clone(&note.label),
                "it is not built as it is known to be",
            ));
        }
    }

    fn members(&mut self, members: &[Member], place: Place<'_>, out: &mut Vec<Node>) {
        for member in members {
            if !self.catalog.is_interesting(member.of) {
                continue;
            }
            let first = out.len();
            if let Some(part) = self.part(member, place) {
                self.visit(part, out);
            }
            for node in &mut out[first..] {
                node.via.get_or_insert_with(|| Arc::clone(&member.name));
            }
        }
    }

    fn enumeration(&mut self, note: &Note, place: Place<'_>, out: &mut Vec<Node>) -> Option<()> {
        let Shape::Enum(variants) = &note.of.shape else {
            return None;
        };
        let Some(variant) = variants.of_value(tag(variants.tag, place.bytes)?) else {
            out.push(Node::limit(
                Arc::clone(&note.label),
                "its tag is none of its variants",
            ));
            return Some(());
        };
        self.visit(
            Place {
                key: variant.of,
                ..place
            },
            out,
        );
        Some(())
    }

    /// The name of the variant that an enum is.
    pub(crate) fn variant(&mut self, note: &Note, place: Place<'_>) -> Option<Arc<str>> {
        let Shape::Enum(variants) = &note.of.shape else {
            return None;
        };
        let of = variants.of_value(tag(variants.tag, place.bytes)?)?.of;
        Some(self.catalog.get(of)?.short_name().into())
    }

    fn elements(
        &mut self,
        of: TypeKey,
        place: Place<'_>,
        count: u64,
        out: &mut Vec<Node>,
    ) -> Option<()> {
        let size = self.catalog.get(of)?.size;
        for index in 0..count {
            if self.exhausted() {
                break;
            }
            let offset = index.checked_mul(size)?;
            let bytes = slice(place.bytes, offset, size)?;
            let at = place.at.wrapping_add(offset);
            self.visit(
                Place {
                    key: of,
                    at,
                    bytes,
                    ..place
                },
                out,
            );
        }
        Some(())
    }

    /// Visits elements behind a pointer. Those beyond `wrap` are counted from 0 again.
    fn many(
        &mut self,
        of: TypeKey,
        data: u64,
        indices: Range<u64>,
        wrap: u64,
        out: &mut Vec<Node>,
    ) {
        let Some(size) = self.catalog.get(of).map(|of| of.size) else {
            return;
        };
        if !self.catalog.is_interesting(of) {
            return;
        }
        for index in indices {
            let index = if index >= wrap { index - wrap } else { index };
            let at = data.wrapping_add(index.wrapping_mul(size));
            let (Some(bytes), false) = (self.read(at, size), self.exhausted()) else {
                out.push(Node::limit(
                    "more elements",
                    "they cannot be read, or are too many",
                ));
                return;
            };
            self.visit(
                Place {
                    key: of,
                    at,
                    bytes: &bytes,
                    way: Way::default(),
                },
                out,
            );
        }
    }

    pub(crate) fn trait_object(
        &mut self,
        note: &Note,
        data: u64,
        vtable: u64,
        future: bool,
        out: &mut Vec<Node>,
    ) {
        let linked = vtable.wrapping_sub(self.bias);
        let types = self.catalog.vtable(linked);
        if let [key, rest @ ..] = &types[..] {
            if !self.catalog.is_interesting(*key) && !future {
                return;
            }
            let first = out.len();
            self.follow(
                *key,
                data,
                Way {
                    awaited: future,
                    ..Way::default()
                },
                out,
            );
            if out.len() == first
                && future
                && let Some(leaf) = self.note(*key)
            {
                out.push(leaf.node(None));
            }
            if let (false, Some(node)) = (rest.is_empty(), out.get_mut(first)) {
                node.limit = Some("or another type with the same code".into());
            }
        } else if future {
            // The fourth word of the table of a future is its `poll`, after the drop, the size and the alignment.
            let poll = self.read(vtable.wrapping_add(24), 8);
            let poll = poll.and_then(|word| u64::try_from(little(&word)).ok());
            let name = poll.and_then(|poll| self.catalog.symbol(poll.wrapping_sub(self.bias)));
            let limit = match name {
                Some(name) => format!("its type is not described; polled by {name}"),
                None => "its type is not described".to_owned(),
            };
            out.push(Node::limit(Arc::clone(&note.label), limit));
        }
    }

    /// Visits the tasks of a `FuturesUnordered`, which are a list.
    fn unordered(&mut self, task: TypeKey, head: u64, out: &mut Vec<Node>) -> Option<()> {
        let of = self.catalog.get(task)?;
        let future = of.member("future")?.clone();
        let next = of.member("next_all")?;
        let next = next.offset + first_pointer(self.catalog, next.of, 4)?.0;
        let mut at = head;
        while at != 0 {
            let bytes = self
                .read(at, of.size)
                .filter(|_| self.seen.insert((at, task)));
            let (Some(bytes), false) = (bytes, self.exhausted()) else {
                out.push(Node::limit(
                    "more futures",
                    "they cannot be read, or are too many",
                ));
                break;
            };
            let place = Place {
                key: task,
                at,
                bytes: &bytes,
                way: Way::default(),
            };
            if let Some(part) = self.part(&future, place) {
                self.visit(part, out);
            }
            at = u64::try_from(number(&bytes, next, 8)?).ok()?;
        }
        Some(())
    }
}
