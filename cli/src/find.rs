//! Finds the state machine that somebody means.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::program::{Function, Program};
use camshaft_inspect::names::segments;

/// How many names are offered instead.
const OFFERED: usize = 12;
/// How many that are near.
const NEAREST: usize = 5;

/// The one state machine with a name: the end of its path, all of it, or a place such as `main.rs:12`.
pub(crate) fn find<'a>(program: &'a Program, name: &str) -> Result<&'a Function> {
    let searches: [fn(&Function, &str) -> bool; 4] = [is_exact, is_end, is_inside, is_at];
    for search in searches {
        let mut found: Vec<_> = program
            .functions
            .iter()
            .filter(|one| search(one, name))
            .collect();
        // Of a place, the innermost is meant that it lies in.
        if let (Some(least), true) = (found.iter().map(|one| lines(one)).min(), is_place(name)) {
            found.retain(|one| lines(one) == least);
        }
        match found[..] {
            [] => {}
            [one] => return Ok(one),
            _ => bail!(
                "{name} may be one of {}; name one by more of its path, by its type, or by its place:\n{}",
                found.len(),
                list(&found)
            ),
        }
    }
    bail!("{}: {}", program.path.display(), none(program, name));
}

/// Says that there is none, and what there is.
fn none(program: &Program, name: &str) -> String {
    let (what, near) = match place(name) {
        Some((file, line)) => {
            let near = beside(program, file, line);
            if near.is_empty() {
                return format!(
                    "no state machine is written in a file {file}; those of this program are in:\n{}",
                    files(program)
                );
            }
            (format!("no state machine is written at {name}"), near)
        }
        None => (
            format!("no state machine is called `{name}`"),
            nearest(program, name),
        ),
    };
    match near.is_empty() {
        true => {
            format!("{what}, or anything like it; `camshaft sizes --brief` lists what there is")
        }
        false => format!("{what}; the nearest are:\n{}", list(&near)),
    }
}

fn is_exact(one: &Function, name: &str) -> bool {
    one.name == name || &*one.layout.name == name
}

/// Whether these are the last segments of the path, with or without type parameters.
fn is_end(one: &Function, name: &str) -> bool {
    let ends = |path: &str| {
        path.strip_suffix(name)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
    };
    ends(&one.name) || ends(&plain(&one.name))
}

/// Whether it is a block or closure of the function that is named.
fn is_inside(one: &Function, name: &str) -> bool {
    let path = plain(&one.name);
    let parts = segments(&path);
    let named = parts.iter().position(|part| part.starts_with('{'));
    named.is_some_and(|named| {
        let path = parts[..named].join("::");
        path == name || path.ends_with(&format!("::{name}"))
    })
}

/// The file and the line of `file.rs:12`.
fn place(name: &str) -> Option<(&str, u64)> {
    let (file, line) = name.rsplit_once(':')?;
    let is_file = !file.is_empty() && !file.ends_with(':');
    Some((file, line.parse().ok()?)).filter(|_| is_file)
}

fn is_place(name: &str) -> bool {
    place(name).is_some()
}

/// Whether `file.rs:12` lies in it.
fn is_at(one: &Function, name: &str) -> bool {
    place(name).is_some_and(|(file, line)| away(one, file, line) == Some(0))
}

/// The lines from the first to the last.
fn range(one: &Function) -> Option<(u64, u64)> {
    let start = one.layout.defined.as_ref()?;
    let end = one
        .layout
        .ends
        .as_ref()
        .filter(|end| end.file == start.file);
    let end = end.map_or(start.line, |end| end.line);
    Some((start.line, end.max(start.line)))
}

/// How many lines it has.
fn lines(one: &Function) -> u64 {
    range(one).map_or(0, |(first, last)| last - first)
}

/// How many lines lie between it and a place, if it is in that file.
fn away(one: &Function, file: &str, line: u64) -> Option<u64> {
    let whole = &one.layout.defined.as_ref()?.file;
    let rest = whole.strip_suffix(file)?;
    let (first, last) = range(one)?;
    let is_file = rest.is_empty() || rest.ends_with('/') || file.starts_with('/');
    is_file.then(|| first.saturating_sub(line) + line.saturating_sub(last))
}

/// Those in the same file, the nearest first.
fn beside<'a>(program: &'a Program, file: &str, line: u64) -> Vec<&'a Function> {
    let found = program.functions.iter();
    let mut found: Vec<_> = found
        .filter_map(|one| Some((away(one, file, line)?, one)))
        .collect();
    found.sort_by_key(|(away, _)| *away);
    found
        .into_iter()
        .map(|(_, one)| one)
        .take(NEAREST)
        .collect()
}

/// The files that state machines of the workspace are written in.
fn files(program: &Program) -> String {
    let own = program.functions.iter().filter(|one| one.own);
    let places = own.filter_map(|one| one.layout.defined.as_ref());
    let files: BTreeSet<_> = places.map(|site| site.short_file()).collect();
    let files: Vec<_> = files
        .into_iter()
        .take(OFFERED)
        .map(|file| format!("    {file}"))
        .collect();
    files.join("\n")
}

/// The path without type parameters.
fn plain(name: &str) -> String {
    let parts = segments(name);
    let cut = parts.iter().map(|part| match part.find('<') {
        Some(at) if at > 0 => &part[..at],
        _ => part,
    });
    cut.collect::<Vec<_>>().join("::")
}

fn list(functions: &[&Function]) -> String {
    let mut lines: Vec<_> = functions
        .iter()
        .take(OFFERED)
        .map(|one| format!("    {}  {}", one.name, one.place()))
        .collect();
    if functions.len() > OFFERED {
        lines.push(format!("    and {} more", functions.len() - OFFERED));
    }
    lines.join("\n")
}

/// Those whose names end like this one, but for some letters. What has little in common with it is not near.
fn nearest<'a>(program: &'a Program, name: &str) -> Vec<&'a Function> {
    let wanted = plain(name).to_lowercase();
    let number = segments(&wanted).len();
    let mut list: Vec<_> = program
        .functions
        .iter()
        .filter_map(|one| {
            let path = plain(&one.name).to_lowercase();
            let mut parts = segments(&path);
            parts.retain(|part| !part.starts_with('{'));
            let end = parts[parts.len().saturating_sub(number)..].join("::");
            let far = distance(&end, &wanted);
            // A part of a name is near, if it is more than a letter or two.
            let contains = wanted.len() > 2 && path.contains(&wanted);
            let near = contains || far <= 1 + wanted.chars().count() / 3;
            near.then_some((
                (
                    far.min(if contains { 2 } else { far }),
                    !one.own,
                    path.len(),
                ),
                one,
            ))
        })
        .collect();
    list.sort_by_key(|(how, _)| *how);
    list.into_iter().map(|(_, one)| one).take(NEAREST).collect()
}

/// How many characters must be put in, taken out or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<_> = b.chars().collect();
    let mut row: Vec<_> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_changes() {
        assert_eq!(distance("serve", "serve"), 0);
        assert_eq!(distance("serve", "swerve"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn parameters_are_not_needed() {
        assert_eq!(plain("a::B::read<c::D<u8>>"), "a::B::read");
        assert_eq!(plain("a::f<T>::{async block}"), "a::f::{async block}");
    }
}
