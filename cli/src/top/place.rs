//! What is where, in as many columns as there are: of all that is said, the line is the last to go.

use crate::terminal::fit;

/// The shortest that a name is cut to.
const SHORTEST: usize = 8;

/// A name, and the place behind it. Folders go first, then modules, those of a type with parameters as well, then the middle of the
/// name and the end of what comes after the line.
pub(super) fn fitted(name: &str, place: &str, room: usize) -> (String, String) {
    let mut place = place.to_owned();
    for shorter in [without_folders, without_modules] {
        if width(name) + width(&place) <= room {
            break;
        }
        place = shorter(&place);
    }
    let mut name = name.to_owned();
    if width(&name) + width(&place) > room {
        name = with_short_type(&name);
    }
    let lines = lines(&place);
    let needed = lines
        .first()
        .map_or(0, |(_, end)| width(&place[..*end]) + 1);
    let name = middle(
        &name,
        room.saturating_sub(needed.min(width(&place))).max(SHORTEST),
    );
    let left = room.saturating_sub(width(&name));
    // Of several lines the last says most, but is in the middle of the path.
    if width(&place) > left
        && let [(_, first), .., (start, last)] = lines[..]
        && width(&place[..last]) >= left
    {
        let both = format!("{} … {}", &place[..first], &place[start..last]);
        if width(&both) <= left {
            place = both;
        }
    }
    (name, fit(&place, left))
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Where the lines of sources stand in a text: `main.rs:12`.
fn lines(text: &str) -> Vec<(usize, usize)> {
    const FILE: &str = ".rs:";
    let found = text.match_indices(FILE).filter_map(|(at, _)| {
        let number = at + FILE.len();
        let digits = text[number..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        let start = text[..at].rfind(' ').map_or(0, |space| space + 1);
        (digits > 0).then_some((start, number + digits))
    });
    found.collect()
}

/// `main.rs:12` of `/home/app/src/main.rs:12`.
fn without_folders(text: &str) -> String {
    let mut said = String::new();
    let mut done = 0;
    for (start, end) in lines(text) {
        let file = text[start..end]
            .rfind('/')
            .map_or(start, |at| start + at + 1);
        said.push_str(&text[done..start]);
        said.push_str(&text[file..end]);
        done = end;
    }
    said + &text[done..]
}

/// `read` of `app::net::read` in a path of awaits.
fn without_modules(text: &str) -> String {
    const ARROW: &str = "-> ";
    let mut parts = text.split(ARROW);
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([' ', '<', '{']).unwrap_or(part.len());
        let name = part[..end].trim_end_matches(':').rfind("::");
        said.push_str(ARROW);
        said.push_str(&part[name.map_or(0, |at| at + 2)..]);
    }
    said
}

/// `Timeout<conn>: 1 s left` of `camshaft::time::Timeout<app::conn>: 1 s left`. What is of no generic type stays, as does what
/// comes behind.
fn with_short_type(text: &str) -> String {
    let (name, rest) = text.split_at(text.find(": ").unwrap_or(text.len()));
    if !name.contains('<') {
        return text.to_owned();
    }
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut said = String::new();
    let mut parts = name.split("::").peekable();
    while let Some(part) = parts.next() {
        match parts.peek() {
            Some(next) if !next.starts_with(['{', '<']) && part.ends_with(is_word) => {
                said.push_str(part.trim_end_matches(is_word));
            }
            next => {
                said.push_str(part);
                said.push_str(next.map_or("", |_| "::"));
            }
        }
    }
    said + rest
}

/// A name without its middle, if it is too long: its end tells more than its beginning.
fn middle(name: &str, room: usize) -> String {
    let length = width(name);
    if length <= room {
        return name.to_owned();
    }
    let kept = room.saturating_sub(1);
    let first = kept / 3;
    let begin: String = name.chars().take(first).collect();
    let end: String = name.chars().skip(length - (kept - first)).collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_last_to_go() {
        let long = "/srv/build/app/examples/inspected.rs:70";
        for (name, place, room, expected) in [
            (
                " inspected::visit",
                format!("  {long} -> Sleep"),
                80,
                format!(" inspected::visit  {long} -> Sleep"),
            ),
            (
                " inspected::visit",
                format!("  {long} -> Sleep"),
                44,
                " inspected::visit  inspected.rs:70 -> Sleep".into(),
            ),
            (
                " inspected::visit",
                format!("  {long} -> Sleep"),
                36,
                " inspected::visit  inspected.rs:70 …".into(),
            ),
            (
                " inspected::visit",
                format!("  {long} -> Sleep"),
                28,
                " in…:visit  inspected.rs:70…".into(),
            ),
            (
                " app::run::{async block}",
                "  src/main.rs:73 -> app::net::reader src/net.rs:13 -> Op".into(),
                58,
                " app::run::{async block}  main.rs:73 -> reader net.rs:13 …".into(),
            ),
            (
                " app::run::{async block}",
                "  src/main.rs:73 -> app::net::reader src/net.rs:13 -> Op".into(),
                50,
                " app::run::{async block}  main.rs:73 … net.rs:13".into(),
            ),
            (
                "└ app::deep",
                "  waits at src/main.rs:37".into(),
                36,
                "└ app::deep  waits at src/main.rs:37".into(),
            ),
            (
                "app::a_name_without_a_place",
                "".into(),
                12,
                "app…_a_place".into(),
            ),
            (
                "camshaft::time::timeout::Timeout<async fn app::conn>",
                "  app::conn src/main.rs:13 -> Op".into(),
                60,
                "Timeout<async fn conn>  app::conn main.rs:13 -> Op".into(),
            ),
            (
                "└ a::B<c::D>: peer fe80::1",
                "".into(),
                22,
                "└ B<D>: peer fe80::1".into(),
            ),
            (
                "app::run::{async block}<app::T>",
                "".into(),
                26,
                "run::{async block}<T>".into(),
            ),
            ("é", "".into(), 0, "é".into()),
        ] {
            let (name, place) = fitted(name, &place, room);
            assert_eq!(format!("{name}{place}"), expected, "in {room}");
        }
    }

    #[test]
    fn whatever_the_text_the_room_is_kept() {
        let texts = [
            "  a/é.rs:1 -> ",
            ".rs:",
            "x.rs:12:3 /.rs:5",
            "-> ::<a::b> -> {a::b} c::",
            "/ / é/é.rs:9é",
        ];
        for name in texts.into_iter().chain(["a<b::c::>::", "::<::"]) {
            for place in texts {
                for room in 0..40 {
                    let (name, place) = fitted(name, place, room);
                    assert!(
                        width(&name) + width(&place) <= room.max(SHORTEST),
                        "{name:?} {place:?} {room}"
                    );
                }
            }
        }
    }
}
