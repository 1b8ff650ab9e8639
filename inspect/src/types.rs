//! What a catalog says of a type: plain data, without a trace of where it was read.

use std::fmt;
use std::sync::Arc;

use crate::home::home;

/// Names a type in its catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeKey {
    pub(crate) unit: u32,
    pub(crate) offset: u32,
}

/// A type: its full name, its size, and what it is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Type {
    /// The name with its modules, as the compiler writes it: `app::serve::{async_fn_env#0}`.
    pub name: Arc<str>,
    /// The size in bytes.
    pub size: u64,
    /// The alignment in bytes, or 0 if it is not said.
    pub align: u64,
    /// What it is made of.
    pub shape: Shape,
    /// The types that it is generic over, with the names of the parameters.
    pub parameters: Vec<(Arc<str>, TypeKey)>,
}

/// What a type is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Shape {
    /// A number, a `bool` or a `char`.
    Scalar(Scalar),
    /// A thin pointer.
    Pointer(Pointer, TypeKey),
    /// So many of one type, one behind the other.
    Array(TypeKey, u64),
    /// A struct, a tuple, a closure, or a wide pointer.
    Struct(Vec<Member>),
    /// A union.
    Union(Vec<Member>),
    /// An enum whose variants hold something.
    Enum(Variants),
    /// An enum of names alone: their values and the names.
    Names(Vec<(u128, Arc<str>)>),
    /// The state machine of an `async` function, block or closure.
    Coroutine(Variants),
    /// Something that nobody looks into, such as a function.
    Other,
}

/// How the bytes of a number are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scalar {
    /// An unsigned number, or `()`.
    Unsigned,
    /// A number with a sign.
    Signed,
    /// A `bool`.
    Bool,
    /// A `char`.
    Char,
    /// A floating-point number.
    Float,
}

/// What kind of pointer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pointer {
    /// `Box<T>`: what it points to is part of its owner.
    Box,
    /// `&mut T`.
    Mut,
    /// `&T`.
    Shared,
    /// `*const T`, `*mut T`, or something that is not known.
    Raw,
}

/// A part of a struct.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Its name; a number in tuples.
    pub name: Arc<str>,
    /// Where it begins.
    pub offset: u64,
    /// Its type.
    pub of: TypeKey,
}

/// The variants of an enum, or the states of a coroutine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Variants {
    /// Where the number is that says which variant it is: offset and bytes. An enum of one variant has none.
    pub tag: Option<(u64, u64)>,
    /// The variants.
    pub list: Vec<Variant>,
}

/// A variant of an enum, or a state of a coroutine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Variant {
    /// The value of the tag; none for the variant that all other values mean.
    pub value: Option<u128>,
    /// Its name.
    pub name: Arc<str>,
    /// The struct that it holds.
    pub of: TypeKey,
    /// For a state, where it waits.
    pub site: Option<Site>,
}

/// A line of source code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Site {
    /// The file, as the compiler was told its path.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u64,
}

impl Variants {
    /// The variant that a value of the tag means. Values that the tag never has mean none.
    #[must_use]
    pub fn of_value(&self, value: u128) -> Option<&Variant> {
        self.list
            .iter()
            .find(|variant| variant.value == Some(value))
            .or_else(|| self.list.iter().find(|variant| variant.value.is_none()))
    }
}

impl Type {
    /// The parts of a struct or union; nothing for other types.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        match &self.shape {
            Shape::Struct(members) | Shape::Union(members) => members,
            _ => &[],
        }
    }

    /// A part by its name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members().iter().find(|member| &*member.name == name)
    }

    /// The name without modules and parameters: `MaybeDone` of `futures_util::future::MaybeDone<T>`.
    #[must_use]
    pub fn short_name(&self) -> &str {
        let path = self.name.split('<').next().unwrap_or_default();
        path.rsplit("::").next().unwrap_or_default()
    }
}

impl Site {
    /// The path in a form for people: from the name of the package on, or from the folder on in which the program was compiled. In a
    /// process that has not read its own debug information, it begins at the working directory.
    #[must_use]
    pub fn short_file(&self) -> &str {
        let file = &*self.file;
        if let Some((_, inside)) = file.split_once("/registry/src/") {
            return inside.split_once('/').map_or(inside, |(_, path)| path);
        }
        if let Some((_, inside)) = file.split_once("/library/")
            && file.starts_with("/rustc/")
        {
            return inside;
        }
        file.strip_prefix(home()).unwrap_or(file)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.short_file(), self.line)
    }
}
