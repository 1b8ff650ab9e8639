//! The words and signs of Rust source, with their lines: as much of a lexer as is needed to see blocks, loops and awaits.

/// A word or sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Word(&'a str),
    /// `'a`, without the quote.
    Label(&'a str),
    /// `=>`.
    Arrow,
    /// `->`.
    Returns,
    /// `&&`, or two references.
    And,
    /// `||`, or a closure that takes nothing.
    Or,
    /// A number, character or text.
    Literal,
    Sign(char),
}

/// The tokens of a text with the lines that they stand on. Comments are left out.
pub(crate) fn tokens(text: &str) -> Vec<(Token<'_>, u64)> {
    let mut list = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (token, length) = token(rest, first);
        list.extend(token.map(|token| (token, line)));
        let (read, after) = rest.split_at(length.clamp(first.len_utf8(), rest.len()));
        line += read.matches('\n').count() as u64;
        rest = after;
    }
    list
}

/// The token that a text begins with, if it is one that counts, and how long it is.
fn token(rest: &str, first: char) -> (Option<Token<'_>>, usize) {
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (None, comment(rest));
    }
    if first == '\'' {
        return quote(rest);
    }
    if let Some(length) = string(rest) {
        return (Some(Token::Literal), length);
    }
    if first.is_alphabetic() || first == '_' {
        let length = word(rest);
        return (Some(Token::Word(&rest[..length])), length);
    }
    if first.is_ascii_digit() {
        return (Some(Token::Literal), word(rest));
    }
    for (sign, token) in [
        ("=>", Token::Arrow),
        ("->", Token::Returns),
        ("&&", Token::And),
        ("||", Token::Or),
    ] {
        if rest.starts_with(sign) {
            return (Some(token), 2);
        }
    }
    // So that a comparison closes nothing.
    if [">=", "<=", "==", "!="]
        .iter()
        .any(|sign| rest.starts_with(sign))
    {
        return (None, 2);
    }
    let token = (!first.is_whitespace()).then_some(Token::Sign(first));
    (token, first.len_utf8())
}

fn word(rest: &str) -> usize {
    let other = |character: char| !character.is_alphanumeric() && character != '_';
    rest.find(other).unwrap_or(rest.len())
}

/// Comments nest.
fn comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// A character, or a label or lifetime.
fn quote(rest: &str) -> (Option<Token<'_>>, usize) {
    let after = &rest[1..];
    if let Some(escaped) = after.strip_prefix('\\') {
        let skipped = escaped.chars().next().map_or(0, char::len_utf8);
        let end = escaped[skipped..]
            .find('\'')
            .map_or(escaped.len(), |end| skipped + end + 1);
        return (Some(Token::Literal), 2 + end);
    }
    let length = after.chars().next().map_or(0, char::len_utf8);
    if after[length..].starts_with('\'') {
        return (Some(Token::Literal), 2 + length);
    }
    let length = word(after);
    (Some(Token::Label(&after[..length])), 1 + length)
}

/// The length of a string, if the text begins with one.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.find('"').filter(|at| *at <= 2 + 16)?;
    let (before, raw) = match rest[..prefix].split_once('r') {
        Some((before, hashes)) if hashes.bytes().all(|byte| byte == b'#') => (before, Some(hashes)),
        Some(_) => return None,
        None => (&rest[..prefix], None),
    };
    if !matches!(before, "" | "b" | "c") {
        return None;
    }
    let inside = &rest[prefix + 1..];
    if let Some(hashes) = raw {
        let end = format!("\"{hashes}");
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix + 1 + length);
    }
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(prefix + 1 + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let word = |(token, _)| match token {
            Token::Word(word) => Some(word),
            _ => None,
        };
        tokens(text).into_iter().filter_map(word).collect()
    }

    #[test]
    fn what_is_in_texts_and_comments_is_left_out() {
        let text = r###"a // b
            /* c /* d */ e */ f "g \" h" 'i' '\'' b"j" r#"k " l"# br"m" 0xff n '\u{1f}' o"###;
        assert_eq!(words(text), ["a", "f", "n", "o"]);
    }

    #[test]
    fn labels_are_no_characters() {
        let list = tokens("'outer: loop { break 'outer }\n=> ->");
        assert_eq!(list[0], (Token::Label("outer"), 1));
        assert_eq!(list[5], (Token::Label("outer"), 1));
        assert_eq!(list[7], (Token::Arrow, 2));
        assert_eq!(list[8], (Token::Returns, 2));
        assert_eq!(list.len(), 9);
    }

    #[test]
    fn operators_are_told_from_their_halves() {
        let words: Vec<_> = tokens("a && 1 || 'c' | \"d\" & e >= -f")
            .into_iter()
            .map(|(token, _)| token)
            .collect();
        let (word, sign) = (Token::Word, Token::Sign);
        let wanted = [
            word("a"),
            Token::And,
            Token::Literal,
            Token::Or,
            Token::Literal,
            sign('|'),
            Token::Literal,
            sign('&'),
            word("e"),
            sign('-'),
            word("f"),
        ];
        assert_eq!(words, wanted);
    }

    #[test]
    fn half_a_text_is_no_trouble() {
        for text in ["'", "'\\", "\"", "r#\"", "/*", "b", "'é", "é'", "\"\\"] {
            let _ = tokens(text);
        }
    }
}
