//! Values read by the names of their parts.
//!
//! Of what is known by name, nothing is known by place: a part is found by the name that its author gave it, whatever the
//! compiler did with it. A name that is not there, memory that cannot be read, or a value that is none of its type's, ends
//! the reading with nothing, and nothing is said.

use std::borrow::Cow;
use std::sync::Arc;

use crate::containers::first_pointer;
use crate::types::{Member, Shape, Type, TypeKey};
use crate::walk::{Place, Walker, number, slice, tag};

/// Wrappers within each other, and steps of one reading.
const DEPTH: u32 = 16;

/// The largest thing that is read behind a pointer.
const BYTES: u64 = 1 << 16;

/// The longest text that is read.
const TEXT: u64 = 4096;

/// What wrappers call the one part that matters, when they have others.
const INNER: [&str; 4] = ["value", "data", "inner", "__0"];

/// A value, or a part of one.
#[derive(Clone, Debug)]
pub(crate) struct View<'b> {
    pub(crate) key: TypeKey,
    pub(crate) at: u64,
    bytes: Cow<'b, [u8]>,
}

impl<'b> View<'b> {
    pub(crate) fn of(place: Place<'b>) -> Self {
        Self {
            key: place.key,
            at: place.at,
            bytes: Cow::Borrowed(place.bytes),
        }
    }

    /// The value as one of another type, that begins at the same place.
    fn within(self, key: TypeKey) -> Self {
        Self { key, ..self }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Walker<'_> {
    /// A part of a part of a value, and so on. `*` is what a pointer leads to, `?` what is in an `Option`, and `|` what an
    /// enum of one value or of a reference to one is. Wrappers are passed through.
    pub(crate) fn get<'b>(&mut self, view: &View<'b>, path: &str) -> Option<View<'b>> {
        let mut view = view.clone();
        for step in path.split('.') {
            view = match step {
                "*" => self.target(&view)?,
                "?" => self.some(&view)?,
                "|" => self.either(&view)?,
                name => self.named(view, name)?,
            };
        }
        Some(view)
    }

    /// A number, or an address, or a `bool`, that is a part of a value.
    pub(crate) fn count(&mut self, view: &View<'_>, path: &str) -> Option<u64> {
        let view = self.get(view, path)?;
        self.plain(view)
    }

    /// The number that a value is, in whatever wrappers.
    pub(crate) fn plain(&mut self, mut view: View<'_>) -> Option<u64> {
        for _ in 0..DEPTH {
            let of = self.catalog.get(view.key)?;
            match &of.shape {
                Shape::Scalar(_) | Shape::Pointer(..) | Shape::Names(_) => {
                    return u64::try_from(number(view.bytes(), 0, of.size)?).ok();
                }
                _ => {
                    let only = self.only(&of).or_else(|| inner(&of))?;
                    view = self.at(view, &only)?;
                }
            }
        }
        None
    }

    /// Which variant an enum is, in whatever wrappers, and what that holds.
    pub(crate) fn which<'b>(&mut self, view: &View<'b>) -> Option<(Arc<str>, View<'b>)> {
        let mut view = view.clone();
        for _ in 0..DEPTH {
            let of = self.catalog.get(view.key)?;
            match &of.shape {
                Shape::Enum(variants) => {
                    let variant = variants.of_value(tag(variants.tag, view.bytes())?)?;
                    let name = self.catalog.get(variant.of)?.short_name().into();
                    return Some((name, view.within(variant.of)));
                }
                Shape::Names(names) => {
                    let value = number(view.bytes(), 0, of.size)?;
                    let (_, name) = names.iter().find(|(known, _)| *known == value)?;
                    return Some((Arc::clone(name), view));
                }
                _ => {
                    let only = self.only(&of).or_else(|| inner(&of))?;
                    view = self.at(view, &only)?;
                }
            }
        }
        None
    }

    /// What is in an `Option`; nothing if that is `None`.
    pub(crate) fn some<'b>(&mut self, view: &View<'b>) -> Option<View<'b>> {
        let (name, some) = self.which(view)?;
        if &*name != "Some" {
            return None;
        }
        self.named(some, "__0")
    }

    /// What an enum holds in any of its variants, or refers to.
    fn either<'b>(&mut self, view: &View<'b>) -> Option<View<'b>> {
        let (_, holds) = self.which(view)?;
        let held = self.named(holds, "__0")?;
        match self.catalog.get(held.key)?.shape {
            Shape::Pointer(..) => self.target(&held),
            _ => Some(held),
        }
    }

    /// What a closure refers to, of a type whose name begins so.
    pub(crate) fn referred(&mut self, closure: &View<'_>, begin: &str) -> Option<View<'static>> {
        let mut closure = closure.clone();
        // Into the wrapper, to what the closure has captured.
        for _ in 0..DEPTH {
            let of = self.catalog.get(closure.key)?;
            for member in of.members() {
                let part = self.at(closure.clone(), member)?;
                let Shape::Pointer(_, target) = self.catalog.get(member.of)?.shape else {
                    continue;
                };
                let name = &self.catalog.get(target)?.name;
                let refers_twice = name.starts_with('&');
                if name.starts_with(begin) {
                    return self.target(&part);
                }
                if refers_twice {
                    let inner = self.target(&part)?;
                    let inner = self.target(&inner)?;
                    return self
                        .catalog
                        .get(inner.key)?
                        .name
                        .starts_with(begin)
                        .then_some(inner);
                }
            }
            let only = self.only(&of)?;
            closure = self.at(closure, &only)?;
        }
        None
    }

    /// How many bytes there are in the array that a reference leads to.
    pub(crate) fn length_behind(&mut self, view: &View<'_>) -> Option<u64> {
        let Shape::Pointer(_, target) = self.catalog.get(view.key)?.shape else {
            return None;
        };
        let target = self.catalog.get(target)?;
        matches!(target.shape, Shape::Array(..)).then_some(target.size)
    }

    /// The name of a type, with its modules and without what it is generic over.
    pub(crate) fn path_of(&mut self, view: &View<'_>) -> Option<String> {
        let of = self.catalog.get(view.key)?;
        Some(of.name.split('<').next().unwrap_or_default().to_owned())
    }

    /// The bytes of a `CString`, a `String`, a `PathBuf`, as text.
    pub(crate) fn text(&mut self, view: &View<'_>) -> Option<String> {
        let (data, length) = match self.named(view.clone(), "data_ptr") {
            Some(data) => (self.plain(data)?, self.count(view, "length")?),
            None => {
                let (pointer, _) = first_pointer(self.catalog, view.key, DEPTH)?;
                let data = number(view.bytes(), pointer, 8)?;
                (u64::try_from(data).ok()?, self.count(view, "len")?)
            }
        };
        if length > TEXT || self.stale {
            return None;
        }
        let bytes = self.read(data, length)?;
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// What a pointer, a box or a counted pointer leads to. Nothing that is stale is followed.
    fn target(&mut self, view: &View<'_>) -> Option<View<'static>> {
        if self.stale {
            return None;
        }
        let (offset, key) = first_pointer(self.catalog, view.key, DEPTH)?;
        let at = u64::try_from(number(view.bytes(), offset, 8)?).ok()?;
        let size = self.catalog.get(key)?.size;
        if at == 0 || size > BYTES {
            return None;
        }
        let bytes = Cow::Owned(self.read(at, size)?);
        Some(View { key, at, bytes })
    }

    /// The part of this name, of the value or of what it wraps.
    fn named<'b>(&mut self, mut view: View<'b>, name: &str) -> Option<View<'b>> {
        for _ in 0..DEPTH {
            let of = self.catalog.get(view.key)?;
            if let Some(member) = of.member(name) {
                return self.at(view, &member.clone());
            }
            let only = self.only(&of).or_else(|| inner(&of))?;
            view = self.at(view, &only)?;
        }
        None
    }

    /// The only part of a wrapper that has a size.
    fn only(&mut self, of: &Type) -> Option<Member> {
        let mut sized = of.members().iter().filter(|member| {
            let of = self.catalog.get(member.of);
            of.is_some_and(|of| of.size > 0)
        });
        let only = sized.next()?;
        sized.next().is_none().then(|| only.clone())
    }

    fn at<'b>(&mut self, view: View<'b>, member: &Member) -> Option<View<'b>> {
        let size = self.catalog.get(member.of)?.size;
        let bytes = match view.bytes {
            Cow::Borrowed(bytes) => Cow::Borrowed(slice(bytes, member.offset, size)?),
            Cow::Owned(bytes) => Cow::Owned(slice(&bytes, member.offset, size)?.to_vec()),
        };
        Some(View {
            key: member.of,
            at: view.at.wrapping_add(member.offset),
            bytes,
        })
    }
}

/// The part of a wrapper that matters, such as the value of a `Mutex` or of an `Rc`.
fn inner(of: &Type) -> Option<Member> {
    INNER.iter().find_map(|name| of.member(name)).cloned()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use std::sync::Mutex;

    use super::*;
    use crate::memory::OwnMemory;
    use crate::program::{anchor_of, load_bias, type_of, with_program};

    struct Sample {
        shared: Rc<Inner>,
        choice: Option<Box<u32>>,
        name: String,
    }

    struct Inner {
        count: Cell<u64>,
        locked: Mutex<RefCell<u16>>,
    }

    /// Reads a sample; nothing without debug information.
    fn read<T: Send>(
        stale: bool,
        read: impl FnOnce(&mut Walker<'_>, &View<'_>) -> T + Send,
    ) -> Option<T> {
        let sample = Sample {
            shared: Rc::new(Inner {
                count: Cell::new(7),
                locked: Mutex::new(RefCell::new(8)),
            }),
            choice: Some(Box::new(9)),
            name: "a name".to_owned(),
        };
        assert!(sample.shared.count.get() == 7 && !sample.shared.locked.is_poisoned());
        let (anchor, at) = (
            anchor_of(&raw const sample),
            (&raw const sample).addr() as u64,
        );
        let told = with_program(|catalog| {
            let key = type_of(catalog, anchor, size_of::<Sample>())?;
            let mut walker = Walker::new(catalog, &OwnMemory, load_bias());
            walker.stale = stale;
            let bytes = walker.read(at, size_of::<Sample>() as u64)?;
            let place = Place {
                key,
                at,
                bytes: &bytes,
                way: crate::walk::Way::default(),
            };
            Some(read(&mut walker, &View::of(place)))
        });
        assert_eq!(sample.choice.as_deref(), Some(&9));
        assert_eq!(sample.name, "a name");
        told.ok().flatten()
    }

    #[test]
    fn parts_are_read_by_name_through_wrappers_and_pointers() {
        let told = read(false, |walker, sample| {
            let name = walker.get(sample, "name")?;
            Some((
                walker.count(sample, "shared.*.count")?,
                walker.count(sample, "shared.*.locked.value.value")?,
                walker.count(sample, "choice.?.*")?,
                walker.text(&name)?,
            ))
        });
        assert!(told.is_none_or(|told| told == Some((7, 8, 9, "a name".to_owned()))));
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        let told = read(false, |walker, sample| {
            [
                "shared.*.total",
                "count",
                "choice.*.x",
                "name.?",
                "shared.?",
                "",
            ]
            .map(|path| walker.count(sample, path))
        });
        assert!(told.is_none_or(|told| told == [None; 6]));
    }

    #[test]
    fn what_is_stale_is_not_followed() {
        let told = read(true, |walker, sample| {
            let name = walker.get(sample, "name");
            let text = name.and_then(|name| walker.text(&name));
            (walker.count(sample, "shared.*.count"), text)
        });
        assert!(told.is_none_or(|told| told == (None, None)));
    }
}
