//! Values read by the names of their parts.
//!
//! Of what is known by name, nothing is known by place: a part is found by the name that its author gave it, whatever the
//! compiler did with it. A name that is not there, memory that cannot be read, or a value that is none of its type's, ends the
//! reading with nothing, and nothing is said.

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
    /// A part of a part of a value, and so on; `*` is what a pointer leads to. Wrappers are passed through.
    pub(crate) fn get<'b>(&mut self, view: &View<'b>, path: &str) -> Option<View<'b>> {
        let mut view = view.clone();
        for step in path.split('.') {
            view = match step {
                "*" => self.target(&view)?,
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
