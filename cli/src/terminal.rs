//! How wide and how colourful what is printed may be.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

/// Columns where nobody says how many there are.
const COLUMNS: usize = 100;

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// If standard output is a terminal, and `NO_COLOR` is not set.
    Auto,
    /// Even into a file.
    Always,
    /// Not even on a terminal.
    Never,
}

/// A page: text that is being made for a certain width, with or without colours.
pub(crate) struct Page {
    text: String,
    columns: usize,
    /// Whether a line that is longer loses its end: a terminal would break it, a file or a program has room.
    cuts: bool,
    colors: bool,
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Plain,
    Bold,
    Dim,
    Warn,
}

/// A piece of a line.
pub(crate) struct Piece<'a>(pub(crate) Weight, pub(crate) &'a str);

impl Page {
    pub(crate) fn new(color: Color) -> Self {
        let terminal = io::stdout().is_terminal();
        let colors = match color {
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()),
            Color::Always => true,
            Color::Never => false,
        };
        let columns = if terminal { columns() } else { None };
        Self {
            cuts: terminal,
            ..Self::with(columns.unwrap_or(COLUMNS), colors)
        }
    }

    pub(crate) fn with(columns: usize, colors: bool) -> Self {
        Self::exactly(columns.clamp(60, 160), colors)
    }

    /// As wide as that, be it more or less than what is pleasant to read.
    pub(crate) fn exactly(columns: usize, colors: bool) -> Self {
        Self {
            text: String::new(),
            columns,
            cuts: true,
            colors,
        }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn has_colors(&self) -> bool {
        self.colors
    }

    /// A line with something at its left and, if there is anything, something at its right end. The left gives way on a terminal;
    /// elsewhere the line gets longer.
    pub(crate) fn line(&mut self, left: &[Piece<'_>], right: &[Piece<'_>]) {
        let right_width: usize = right.iter().map(|piece| width(piece.1)).sum();
        let gap = if right.is_empty() { 0 } else { 2 };
        let mut room = self.columns.saturating_sub(right_width + gap);
        for Piece(weight, text) in left {
            let cut = self.fit(text, room);
            room = room.saturating_sub(width(&cut));
            self.put(*weight, &cut);
        }
        if !right.is_empty() {
            let _ = write!(self.text, "{:1$}", "", room + gap);
            for Piece(weight, text) in right {
                self.put(*weight, text);
            }
        }
        let end = self.text.trim_end_matches(' ').len();
        self.text.truncate(end);
        self.text.push('\n');
    }

    /// All of a text: what there is no room for in a line goes to the next, as far to the right as the line began.
    pub(crate) fn wrapped(&mut self, weight: Weight, text: &str) {
        for line in text.lines() {
            let words = line.trim_start_matches(' ');
            let indent = &line[..line.len() - words.len()];
            let mut row = indent.to_owned();
            for word in words.split_whitespace() {
                if row.len() > indent.len() && width(&row) + 1 + width(word) > self.columns {
                    self.line(&[Piece(weight, &row)], &[]);
                    row = indent.to_owned();
                }
                if row.len() > indent.len() {
                    row.push(' ');
                }
                row.push_str(word);
            }
            self.line(&[Piece(weight, &row)], &[]);
        }
    }

    /// The text, or on a terminal as much of it as there is room for.
    pub(crate) fn fit(&self, text: &str, room: usize) -> String {
        match self.cuts {
            true => fit(text, room),
            false => text.to_owned(),
        }
    }

    pub(crate) fn gap(&mut self) {
        self.text.push('\n');
    }

    pub(crate) fn text(self) -> String {
        self.text
    }

    fn put(&mut self, weight: Weight, text: &str) {
        let code = match weight {
            Weight::Bold => "1",
            Weight::Dim => "2",
            Weight::Warn => "33",
            Weight::Plain => "",
        };
        if self.colors && !code.is_empty() && !text.trim().is_empty() {
            let _ = write!(self.text, "\x1b[{code}m{text}\x1b[0m");
        } else {
            self.text.push_str(text);
        }
    }
}

fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The text, or as much of its beginning as there is room for.
pub(crate) fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(room.saturating_sub(1)).collect();
    if room > 0 {
        cut.push('…');
    }
    cut
}

/// A number with commas.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 byte`, `2 bytes`.
pub(crate) fn count(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { many })
}

/// Writes to standard output. A reader who has seen enough is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_left_gives_way_to_the_right() {
        let mut page = Page::with(60, false);
        let long = "x".repeat(100);
        page.line(
            &[Piece(Weight::Bold, &long), Piece(Weight::Plain, "gone")],
            &[Piece(Weight::Plain, "1 byte")],
        );
        let text = page.text();
        assert_eq!(width(text.trim_end()), 60);
        assert!(text.ends_with("x…  1 byte\n"), "{text}");
    }

    #[test]
    fn nothing_is_cut_off_but_on_a_terminal() {
        let mut page = Page::with(60, false);
        page.cuts = false;
        let long = "x".repeat(100);
        page.line(
            &[Piece(Weight::Bold, &long)],
            &[Piece(Weight::Plain, "1 byte")],
        );
        assert_eq!(page.text(), format!("{long}  1 byte\n"));
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        for (colors, wanted) in [(false, "a b\n"), (true, "\x1b[1ma\x1b[0m b\n")] {
            let mut page = Page::with(60, colors);
            page.line(
                &[Piece(Weight::Bold, "a"), Piece(Weight::Plain, " b ")],
                &[],
            );
            assert_eq!(page.text(), wanted);
        }
    }

    #[test]
    fn numbers_have_commas() {
        let said: Vec<_> = [0, 999, 1000, 1_234_567].map(number).into();
        assert_eq!(said, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(count(1, "byte", "bytes"), "1 byte");
    }
}
