//! Names that fit into a line.

use std::borrow::Cow;

/// The longest name that is shown whole, and the longest that is shown without what the types in it are generic over.
const LONG: [usize; 2] = [60, 80];

/// A name in which, if it is long, what the types in it are generic over is left out; and if that is not enough, what it is
/// itself.
pub(crate) fn brief(name: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(name);
    for (long, depth) in LONG.into_iter().zip([2, 1]) {
        if text.chars().count() > long {
            text = Cow::Owned(without(name, depth));
        }
    }
    text
}

/// A name without what is in so many angle brackets.
fn without(name: &str, depth: usize) -> String {
    let mut text = String::new();
    let mut inside = 0_usize;
    let mut before = ' ';
    for letter in name.chars() {
        // That of an arrow closes nothing.
        if letter == '>' && before != '-' {
            inside = inside.saturating_sub(1);
        }
        if inside < depth {
            text.push(letter);
        }
        if letter == '<' {
            inside += 1;
            if inside == depth {
                text.push('…');
            }
        }
        before = letter;
    }
    // One that was cut has not closed what it opened.
    text.extend(std::iter::repeat_n('>', inside.min(depth)));
    text
}

#[cfg(test)]
mod tests {
    use super::brief;

    #[test]
    fn long_names_are_shortened() {
        for (name, expected) in [
            ("app::serve<TcpStream>", "app::serve<TcpStream>"),
            (
                "hyper::server::conn::http1::Connection<HyperIo<TcpStream>, ServiceFn<fn(Request<Incoming>) -> async fn answer>>",
                "hyper::server::conn::http1::Connection<HyperIo<…>, ServiceFn<…>>",
            ),
            (
                "hyper::proto::h1::dispatch::Dispatcher<Server<A<B>, C>, Either<Full<Bytes>, BoxBody<Bytes>>, Other<A<B>>, Very, Long>",
                "hyper::proto::h1::dispatch::Dispatcher<…>",
            ),
            (
                "hyper::proto::h1::dispatch::Dispatcher<Server<ServiceFn<fn(Request<Incoming>) -> async fn answ…",
                "hyper::proto::h1::dispatch::Dispatcher<Server<…>>",
            ),
        ] {
            assert_eq!(brief(name), expected);
        }
    }
}
