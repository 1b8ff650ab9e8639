//! What comes round.

use super::{allow, ways};

#[test]
fn loops() {
    allow(&[
        ("loop { a().await; b().await?; }", "s0 01 10 1e"),
        ("loop { if a().await { break } }\n b().await", "s0 00 01 1e"),
        ("loop { break a().await }", "s0 0e"),
        ("while x { a().await }", "s0 se 00 0e"),
        ("while a().await { b().await }", "s0 01 0e 10"),
        (
            "while let Some(x) = a().await { b(x).await; }",
            "s0 01 0e 10",
        ),
        (
            "while let Some(x) = a().await { if x { continue } b().await; }",
            "s0 00 01 0e 10",
        ),
        ("while { a().await } { b().await }", "s0 01 0e 10"),
        ("for x in y.await { z(x).await; }", "s0 01 0e 11 1e"),
        (
            "for x in y { if x { break } a().await; }\n b().await",
            "s0 s1 00 01 1e",
        ),
        ("for x in y { if x { continue } a().await; }", "s0 se 00 0e"),
        (
            "for x in y { for z in x { a().await } b().await }",
            "s0 s1 se 00 01 10 11 1e",
        ),
    ]);
}

#[test]
fn loops_in_loops() {
    allow(&[
        (
            "while x { while y { a().await } b().await }",
            "s0 s1 se 00 01 10 11 1e",
        ),
        (
            "while x { if y { continue } while z { while w { a().await } b().await?; } c().await }",
            "s0 s1 s2 se 00 01 10 11 12 1e 20 21 22 2e",
        ),
        (
            "loop { if x { break } loop { a().await; if y { break } } }",
            "s0 se 00 0e",
        ),
        // What is dead is in no way.
        (
            "'o: loop { if x { continue } loop { a().await; break 'o }; for y in z { b()?; } }",
            "s0 0e",
        ),
    ]);
    // The time to walk them must not grow with the power of their number.
    for (begin, end, wanted) in [
        ("loop { ", " }", "s0 00"),
        ("while x { ", " }", "s0 se 00 0e"),
        ("loop { ", "; break }", "s0 0e"),
        ("loop { break; loop { ", " } }", ""),
    ] {
        let text = [&*begin.repeat(30), "a().await", &end.repeat(30)].concat();
        allow(&[(&text, wanted)]);
    }
    let count = 30;
    let text = [
        "for x in y { ".repeat(count),
        "a().await; }\n".repeat(count),
    ]
    .concat();
    let said = ways(&text).expect("it is understood");
    // Behind the start is any or the end; behind each await it and all that are further inside, and the next one outside.
    let wanted = (count + 1) + count * (count + 1) / 2 + count;
    assert_eq!(said.split(' ').count(), wanted, "{said}");
}

#[test]
fn labels() {
    allow(&[
        (
            "'o: loop { loop { a().await; if x { continue 'o } break 'o; } }",
            "s0 00 0e",
        ),
        (
            "'o: for x in y { loop { if a().await { continue 'o } b().await; } }",
            "s0 se 00 01 0e 10",
        ),
        (
            "'o: while x { loop { a().await; break 'o } }\n b().await",
            "s0 s1 01 1e",
        ),
        ("'a: { a().await; break 'a; }", "s0 0e"),
        (
            "'a: { if x { break 'a } a().await; }\n b().await",
            "s0 s1 01 1e",
        ),
        (
            "let x = 'a: { if y { break 'a 1 } a().await }; b().await",
            "s0 s1 01 1e",
        ),
        (
            "loop { 'a: { if x { break 'a } a().await; break } b().await }",
            "s0 s1 0e 10 11",
        ),
        (
            "let x: &'static str = y; loop { 'a: { break } }\n a(x).await",
            "s0 0e",
        ),
        ("'o: loop { break 'o a().await }", "s0 0e"),
    ]);
}
