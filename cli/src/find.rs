//! Finds the state machine that somebody means.

use anyhow::{Result, bail};

use crate::program::{Function, Program};
use camshaft_inspect::names::segments;

/// How many names are offered instead.
const OFFERED: usize = 12;

/// The one state machine with a name: the end of its path, all of it, or a place such as `main.rs:12`.
pub(crate) fn find<'a>(program: &'a Program, name: &str) -> Result<&'a Function> {
    let searches: [fn(&Function, &str) -> bool; 4] = [is_exact, is_end, is_inside, is_at];
    for search in searches {
        let found: Vec<_> = program
            .functions
            .iter()
            .filter(|one| search(one, name))
            .collect();
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
    let near = nearest(program, name);
    let program = program.path.display();
    bail!(
        "{program}: no state machine is called {name}; the nearest are:\n{}",
        list(&near)
    );
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

/// Whether `file.rs:12` lies in it.
fn is_at(one: &Function, name: &str) -> bool {
    let Some((file, line)) = name.rsplit_once(':') else {
        return false;
    };
    let (Ok(line), Some(start)) = (line.parse::<u64>(), &one.layout.defined) else {
        return false;
    };
    let end = one.layout.ends.as_ref().map_or(start.line, |end| end.line);
    let in_file = start
        .file
        .strip_suffix(file)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    in_file && (start.line..=end.max(start.line)).contains(&line)
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

fn nearest<'a>(program: &'a Program, name: &str) -> Vec<&'a Function> {
    let wanted = name.to_lowercase();
    let wanted_last = segments(&wanted).pop().unwrap_or_default().to_owned();
    let mut list: Vec<_> = program
        .functions
        .iter()
        .map(|one| {
            let path = plain(&one.name).to_lowercase();
            let parts = segments(&path);
            let by_part = parts.iter().map(|part| distance(part, &wanted_last)).min();
            // What contains the name is nearer than what is only spelled like it.
            let contains = path.contains(&wanted);
            ((!contains, by_part, path.len()), one)
        })
        .collect();
    list.sort_by_key(|(how, _)| *how);
    list.into_iter().map(|(_, one)| one).take(5).collect()
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
