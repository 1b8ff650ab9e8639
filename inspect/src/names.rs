//! Names for people, made of those that the compiler gave for debuggers.
//!
//! | the compiler's | for people | within a list |
//! |---|---|---|
//! | `app::serve::{async_fn_env#0}` | `app::serve` | `async fn serve` |
//! | `app::{impl#1}::read::{async_fn_env#0}<u8>` | `app::Reader::read<u8>` | `async fn Reader::read<u8>` |
//! | `app::main::{async_block_env#1}` | `app::main::{async block 1}` | `async block 1 in main` |
//! | `alloc::vec::Vec<u8, alloc::alloc::Global>` | | `Vec<u8>` |
//!
//! Which type an `impl` is of, only the symbol of a function tells.

use std::collections::HashMap;

/// The longest name that a tree has whole.
const LONGEST: usize = 1000;

/// What kind of state machine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// That of an `async fn`.
    Function,
    /// That of an `async` block.
    Block,
    /// That of an `async` closure.
    Closure,
}

impl Kind {
    /// The words for it, such as `async fn`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Function => "async fn",
            Self::Block => "async block",
            Self::Closure => "async closure",
        }
    }

    /// The kind of a state machine with this name.
    #[must_use]
    pub fn of(raw: &str) -> Self {
        let last = segments(path_of(raw)).pop().unwrap_or_default();
        match coroutine(last) {
            Some((kind, _)) => kind,
            None => Self::Function,
        }
    }
}

/// What is known of the names in a program.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The path of an `impl`, and the name of its type.
    types: HashMap<String, String>,
}

impl Names {
    /// Whether a name says `{impl#0}`, of a type that is not known yet.
    #[must_use]
    pub fn wants(&self, raw: &str) -> bool {
        implementation(path_of(raw)).is_some_and(|(path, _)| !self.types.contains_key(path))
    }

    /// Learns the type of an `impl` from the symbol of a function in it, demangled.
    pub fn learn(&mut self, raw: &str, symbol: &str) {
        let Some((path, after)) = implementation(path_of(raw)) else {
            return;
        };
        let mut parts = segments(symbol);
        parts.truncate(parts.len().saturating_sub(after));
        let Some(last) = parts.last() else {
            return;
        };
        // `<Reader<R> as Trait>`, or `Reader<R>`.
        let inner = last
            .strip_prefix('<')
            .map_or(*last, |inner| inner.split(" as ").next().unwrap_or(inner));
        let inner = inner.trim_start_matches(['&', '*']);
        let inner = inner.strip_prefix("mut ").unwrap_or(inner);
        let name = segments(inner).pop().unwrap_or_default();
        let name = name.split(['<', '>']).next().unwrap_or_default();
        if !name.is_empty() {
            self.types.insert(path.to_owned(), name.to_owned());
        }
    }

    /// The path of a state machine, with its type parameters.
    #[must_use]
    pub fn path(&self, raw: &str) -> String {
        let path = path_of(raw);
        format!("{}{}", self.bare(path), self.short(&raw[path.len()..]))
    }

    /// The path as a tree shows it: cut if it is very long.
    pub(crate) fn label(&self, raw: &str) -> String {
        let path = self.path(raw);
        match path.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &path[..end]),
            None => path,
        }
    }

    /// A type name without modules.
    #[must_use]
    pub fn short(&self, raw: &str) -> String {
        let mut text = String::new();
        let mut rest = raw;
        while !rest.is_empty() {
            let path = path_of(rest);
            if path.is_empty() {
                let first = rest.chars().next().map_or(0, char::len_utf8);
                text.push_str(&rest[..first]);
                rest = &rest[first..];
            } else {
                text.push_str(&self.short_path(path));
                rest = &rest[path.len()..];
            }
        }
        // What is there unless somebody says otherwise.
        text.replace(", Global>", ">")
            .replace(", RandomState>", ">")
    }

    fn short_path(&self, path: &str) -> String {
        let parts = segments(path);
        let Some(last) = parts.last() else {
            return path.to_owned();
        };
        let what = match coroutine(last) {
            Some((kind, own)) => format!("{}{}", kind.text(), outer(&parts).unwrap_or(own)),
            None if last.starts_with("{closure_env#") => "closure".to_owned(),
            None => return (*last).to_owned(),
        };
        let function = last.starts_with("{async_fn_env#");
        let owner = self.owner(&parts[..parts.len() - 1]);
        let of = if function { " " } else { " in " };
        format!("{what}{of}{owner}")
    }

    /// The function that something is in, with its type but without modules.
    fn owner(&self, parts: &[&str]) -> String {
        let plain = |part: &&&str| !part.starts_with('{') || part.starts_with("{impl#");
        let own: Vec<_> = parts.iter().filter(plain).collect();
        let Some((function, around)) = own.split_last() else {
            return String::new();
        };
        match around.last() {
            Some(part) if part.starts_with("{impl#") => {
                let until = parts.iter().rposition(|one| *one == **part).unwrap_or(0);
                match self.types.get(&parts[..=until].join("::")) {
                    Some(of) => format!("{of}::{function}"),
                    None => (**function).to_owned(),
                }
            }
            _ => (**function).to_owned(),
        }
    }

    /// The whole path, in words.
    fn bare(&self, path: &str) -> String {
        let parts = segments(path);
        let mut said: Vec<String> = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            if part.starts_with("{impl#") {
                let of = self.types.get(&parts[..=index].join("::"));
                said.push(of.cloned().unwrap_or_else(|| (*part).to_owned()));
            } else if part.starts_with("{async_fn") {
                // The function is named before.
            } else if let Some((kind, own)) = coroutine(part) {
                let outer = outer(&parts[..=index]);
                if outer.is_some() {
                    said.pop();
                }
                said.push(format!("{{{}{}}}", kind.text(), outer.unwrap_or(own)));
            } else if part.starts_with("{closure#") || part.starts_with("{closure_env#") {
                said.push(format!("{{closure{}}}", number(part)));
            } else {
                said.push((*part).to_owned());
            }
        }
        said.join("::")
    }
}

/// A name as a tree shows it, of which nothing more is known.
pub(crate) fn label(raw: &str) -> String {
    Names::default().label(raw)
}

/// Turns the demangled name of a function into one for people.
pub(crate) fn function(name: &str) -> String {
    // Without its path, what it is generic over would be all that one sees.
    let name = match name.split_once('<') {
        Some((path, _)) if !path.is_empty() && !path.contains("::") => path,
        _ => name,
    };
    let name = name
        .replace("{{", "{")
        .replace("}}", "}")
        .replace("#0}", "}");
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

/// The kind and number of a state machine, or of the body of one, whose last segment this is.
fn coroutine(segment: &str) -> Option<(Kind, String)> {
    let (name, _) = segment.strip_prefix('{')?.split_once('#')?;
    let kind = match name.strip_suffix("_env").unwrap_or(name) {
        "async_fn" => Kind::Function,
        "async_block" => Kind::Block,
        "async_closure" => Kind::Closure,
        _ => return None,
    };
    Some((kind, number(segment)))
}

/// The number of the closure that returns the state machine at the end of a path: an `async` closure is two things.
fn outer(parts: &[&str]) -> Option<String> {
    match parts {
        [.., closure, body]
            if closure.starts_with("{closure#") && body.starts_with("{async_closure") =>
        {
            Some(number(closure))
        }
        _ => None,
    }
}

/// The number in `{async_block#1}`, if it is not the first.
fn number(segment: &str) -> String {
    let digits = segment.split_once('#').map_or("", |(_, rest)| rest);
    match digits.trim_end_matches('}') {
        "" | "0" => String::new(),
        number => format!(" {number}"),
    }
}

/// The path that a name begins with: what comes before its parameters.
fn path_of(raw: &str) -> &str {
    let mut braces = 0usize;
    let mut end = raw.len();
    let bytes = raw.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' => braces += 1,
            b'}' => braces = braces.saturating_sub(1),
            _ if braces > 0 => {}
            b':' if bytes.get(index + 1) == Some(&b':') => {}
            b':' if index > 0 && bytes[index - 1] == b':' => {}
            b'_' | b'#' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => {}
            _ => {
                end = index;
                break;
            }
        }
    }
    &raw[..end]
}

/// The path up to its innermost `impl`, and how many segments come after.
fn implementation(path: &str) -> Option<(&str, usize)> {
    let start = path.rfind("{impl#")?;
    let end = start + path[start..].find('}')? + 1;
    let after = segments(&path[end..]).into_iter();
    Some((&path[..end], after.filter(|part| !part.is_empty()).count()))
}

/// The parts of a path: `a`, `B<c::D>` and `e` of `a::B<c::D>::e`.
#[must_use]
pub fn segments(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    let bytes = path.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' | b'{' | b'(' | b'[' => depth += 1,
            b'>' if index > 0 && bytes[index - 1] == b'-' => {} // an arrow
            b'>' | b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && bytes.get(index + 1) == Some(&b':') && index >= start => {
                parts.push(&path[start..index]);
                start = index + 2;
            }
            _ => {}
        }
    }
    parts.push(path.get(start..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        let raw = "app::net::{impl#1}::read::{async_fn_env#0}<u8>";
        assert!(names.wants(raw));
        names.learn(raw, "app::net::Reader<R>::read::{{closure}}");
        assert!(!names.wants(raw));
        names.learn(
            "app::{impl#3}::wait::{async_fn#0}::{async_block_env#0}",
            "<app::Gate<T> as app::Wait>::wait::{{closure}}::{{closure}}",
        );
        names
    }

    #[test]
    fn state_machines_are_called_by_their_functions() {
        let names = names();
        for (raw, wanted, short) in [
            (
                "app::serve::{async_fn_env#0}",
                "app::serve",
                "async fn serve",
            ),
            (
                "app::net::{impl#1}::read::{async_fn_env#0}<alloc::vec::Vec<u8, alloc::alloc::Global>>",
                "app::net::Reader::read<Vec<u8>>",
                "async fn Reader::read<Vec<u8>>",
            ),
            (
                "app::{impl#3}::wait::{async_fn#0}::{async_block_env#2}",
                "app::Gate::wait::{async block 2}",
                "async block 2 in Gate::wait",
            ),
            (
                "app::{impl#9}::wait::{async_fn_env#0}",
                "app::{impl#9}::wait",
                "async fn wait",
            ),
            (
                "app::main::{closure#1}::{async_closure_env#0}",
                "app::main::{async closure 1}",
                "async closure 1 in main",
            ),
        ] {
            assert_eq!(names.path(raw), wanted);
            assert_eq!(names.short(raw), short);
        }
    }

    #[test]
    fn types_lose_their_modules() {
        let names = names();
        for (raw, wanted) in [
            ("u8", "u8"),
            (
                "&mut [core::option::Option<a::B>; 3]",
                "&mut [Option<B>; 3]",
            ),
            (
                "alloc::boxed::Box<dyn core::future::future::Future<Output=()> + core::marker::Send, alloc::alloc::Global>",
                "Box<dyn Future<Output=()> + Send>",
            ),
            (
                "fn(&mut core::task::wake::Context) -> core::task::poll::Poll<()>",
                "fn(&mut Context) -> Poll<()>",
            ),
            (
                "core::future::poll_fn::PollFn<app::serve::{async_fn#0}::{closure_env#0}>",
                "PollFn<closure in serve>",
            ),
            ("a::b<", "b<"),
            ("::", ""),
            ("{", "{"),
            ("é::ü<ß>", "ü<ß>"),
        ] {
            assert_eq!(names.short(raw), wanted, "{raw}");
        }
    }

    #[test]
    fn a_name_without_end_is_cut() {
        let name = "é".repeat(2000);
        let label = names().label(&name);
        assert_eq!(label.chars().count(), LONGEST + 1);
        assert_eq!(names().label("app::é::{async_fn_env#0}"), "app::é");
    }

    #[test]
    fn kinds_are_told_by_the_last_segment() {
        assert_eq!(Kind::of("a::b::{async_fn_env#0}<T>"), Kind::Function);
        assert_eq!(
            Kind::of("a::{async_fn#0}::{async_block_env#0}"),
            Kind::Block
        );
        assert_eq!(Kind::of("a::{async_closure_env#0}"), Kind::Closure);
    }
}
