//! Names as people write them.
//!
//! ```text
//!   app::serve::{async_fn_env#0}<alloc::string::String>            app::serve<String>
//!   app::{impl#3}::run::{async_fn#0}::{async_block_env#1}          app::{impl}::run::{async block 1}
//!   core::future::poll_fn::PollFn<app::f::{async_fn#0}::{closure_env#0}>   core::future::poll_fn::PollFn<f::{closure}>
//! ```

/// The longest name that is shown whole.
const LONGEST: usize = 140;

/// Turns the name that the compiler gave into one for people.
pub(crate) fn label(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut depth = 0usize;
    let mut rest = name;
    while !rest.is_empty() {
        let end = rest
            .find(['<', '>', ',', ' ', '(', ')', '[', ']', '&', ';', '='])
            .unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        if !path.is_empty() {
            push_path(&mut out, path, depth > 0);
        }
        let Some(mark) = after.chars().next() else {
            break;
        };
        match mark {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        out.push(mark);
        rest = &after[mark.len_utf8()..];
    }
    let out = out.replace(", Global>", ">");
    match out.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out,
    }
}

/// Appends a path; only its end if it is one of the types that another is generic over.
fn push_path(out: &mut String, path: &str, inside: bool) {
    let mut segments: Vec<String> = path.split("::").filter_map(segment).collect();
    if inside {
        // What has no name of its own needs that of its function.
        let keep = 1 + segments
            .iter()
            .rev()
            .take_while(|part| part.starts_with('{'))
            .count();
        segments.drain(..segments.len().saturating_sub(keep));
    }
    out.push_str(&segments.join("::"));
}

/// A part of a path; none if the function around it says the same.
fn segment(part: &str) -> Option<String> {
    let Some(inner) = part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'))
    else {
        return Some(part.to_owned());
    };
    let (kind, number) = inner.split_once('#').unwrap_or((inner, "0"));
    let kind = kind.strip_suffix("_env").unwrap_or(kind);
    match kind {
        "async_fn" => None,
        "impl" => Some("{impl}".to_owned()),
        _ if number == "0" => Some(format!("{{{}}}", kind.replace('_', " "))),
        _ => Some(format!("{{{} {number}}}", kind.replace('_', " "))),
    }
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn names_are_as_people_write_them() {
        for (name, expected) in [
            ("app::serve::{async_fn_env#0}", "app::serve"),
            (
                "app::serve::{async_fn_env#0}<alloc::string::String>",
                "app::serve<String>",
            ),
            (
                "app::{impl#3}::run::{async_fn#0}::{async_block_env#1}",
                "app::{impl}::run::{async block 1}",
            ),
            (
                "core::future::poll_fn::PollFn<app::f::{async_fn#0}::{closure_env#0}>",
                "core::future::poll_fn::PollFn<f::{closure}>",
            ),
            (
                "alloc::vec::Vec<core::option::Option<a::b::C>, alloc::alloc::Global>",
                "alloc::vec::Vec<Option<C>>",
            ),
            ("(u8, a::B)", "(u8, a::B)"),
            ("&mut dyn core::fmt::Debug", "&mut dyn core::fmt::Debug"),
            ("", ""),
        ] {
            assert_eq!(label(name), expected);
        }
    }

    #[test]
    fn a_name_without_end_is_cut() {
        let name = "é".repeat(1000);
        assert_eq!(label(&name).chars().count(), super::LONGEST + 1);
    }
}
