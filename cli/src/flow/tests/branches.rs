//! One after the other, early ends, and one way or another.

use super::allow;

#[test]
fn one_after_the_other() {
    allow(&[
        ("", "se"),
        ("a().await; b().await", "s0 01 1e"),
        ("a(b().await, c().await).await", "s0 01 12 2e"),
        ("a().await.b().await.c", "s0 01 1e"),
        ("S { x: a().await, y: b().await }", "s0 01 1e"),
        ("[a().await, b().await]", "s0 01 1e"),
        ("{ { a().await } }", "s0 0e"),
        ("let x: fn(&'static str) -> u8 = y; a(x).await", "s0 0e"),
        ("let x = a::<B, C>().await; d().await", "s0 01 1e"),
        ("println!(\"{}\", a().await); panic!()", "s0"),
        ("unsafe { a().await }; b().await", "s0 01 1e"),
    ]);
}

#[test]
fn early_ends() {
    allow(&[
        ("a().await?;\n b().await", "s0 01 0e 1e"),
        ("x?; a().await", "s0 se 0e"),
        ("if x { return }\n a().await", "s0 se 0e"),
        ("return a().await; b()", "s0 0e"),
        ("return a::<B, C>(x).await?", "s0 0e"),
        ("if x { return a().await }\n b().await", "s0 s1 0e 1e"),
        ("a(b()?, c().await).await", "se s0 01 1e"),
        ("if x { panic!() }\n a().await", "s0 0e"),
        (
            "let Some(x) = a().await else { return };\n b(x).await",
            "s0 01 0e 1e",
        ),
        (
            "let Some(x) = y else { a().await; return };\n b(x).await",
            "s0 0e s1 1e",
        ),
        (
            "loop { let Some(x) = a().await else { continue };\n b(x).await }",
            "s0 00 01 10",
        ),
    ]);
}

#[test]
fn branches() {
    allow(&[
        ("if x { a().await }\n b().await", "s0 s1 01 1e"),
        (
            "if x { a().await } else if y { b().await } else { c().await }\n d().await",
            "s0 s1 s2 03 13 23 3e",
        ),
        (
            "if a().await { b().await } else { c().await }",
            "s0 01 02 1e 2e",
        ),
        ("if let Some(x) = a().await { b(x).await }", "s0 01 0e 1e"),
        ("if { a().await } { b().await }", "s0 01 0e 1e"),
        (
            "if x { a().await } else if b().await { c().await }",
            "s0 s1 0e 12 1e 2e",
        ),
        (
            "let x = if y { a().await } else { 3 }; b(x).await",
            "s0 s1 01 1e",
        ),
        (
            "match a().await { 0 => b().await, 1 | 2 => { c().await } _ => {} }\n d().await",
            "s0 01 02 03 13 23 3e",
        ),
        (
            "match x { A { y, .. } => a(y).await, B(z) => b(z).await }",
            "s0 s1 0e 1e",
        ),
        (
            "match x { A => if y { a().await } B => b().await, _ => {} }",
            "s0 s1 se 0e 1e",
        ),
        (
            "match x { A => match y { _ => a().await } B => b().await }",
            "s0 s1 0e 1e",
        ),
        (
            "match x { A => { a() }.await, B => b().await }",
            "s0 s1 0e 1e",
        ),
        (
            "match x { A => return, B => a().await }\n b().await",
            "se s0 01 1e",
        ),
        ("match x { A => a().await?, _ => 3 }", "s0 0e se"),
    ]);
}

#[test]
fn guards() {
    allow(&[
        (
            "match x { y if a(y).await => b().await, _ => c().await }",
            "s0 01 s2 02 1e 2e",
        ),
        (
            "match x { 1 if a().await => {} 2 if b().await => c().await, _ => {} }",
            "s0 s1 se 01 0e 12 1e 2e",
        ),
        (
            "match x { y if y && a().await => b().await, _ => {} }",
            "s0 se 01 0e 1e",
        ),
        ("match x { y if y > 3 => a().await, _ => {} }", "s0 se 0e"),
    ]);
}

#[test]
fn operators_that_stop_early() {
    allow(&[
        ("a().await && b().await", "s0 01 0e 1e"),
        ("a().await || b().await", "s0 01 0e 1e"),
        ("x && a().await", "s0 se 0e"),
        ("x == 1 || a().await", "s0 se 0e"),
        ("let y = x && a().await; b().await", "s0 s1 01 1e"),
        ("f(x && a().await, b().await)", "s0 s1 01 1e"),
        ("if x && a().await { b().await }", "s0 se 01 0e 1e"),
        (
            "if x && a().await { b().await } else { c().await }",
            "s0 s2 01 02 1e 2e",
        ),
        (
            "if x || a().await { b().await } else { c().await }",
            "s0 s1 01 02 1e 2e",
        ),
        (
            "if x || y && a().await { b().await } else { c().await }",
            "s0 s1 s2 01 02 1e 2e",
        ),
        (
            "if x && y || a().await { b().await } else { c().await }",
            "s0 s1 01 02 1e 2e",
        ),
        (
            "if a().await && b().await || c().await { d().await }",
            "s0 01 02 12 13 23 2e 3e",
        ),
        ("while x && a().await { b().await }", "s0 se 01 0e 10 1e"),
        (
            "if let Some(x) = a().await && b(x).await { c().await }",
            "s0 01 0e 12 1e 2e",
        ),
        ("return x || a().await", "s0 se 0e"),
        ("x && return; a().await", "se s0 0e"),
        ("a(&&x).await; b(&&mut x, y | 1, 1 | 2).await", "s0 01 1e"),
        ("let x = 1 | y; a(x | z).await", "s0 0e"),
        (
            "match x { A | B => a().await, 1 | 2 => {} | _ => b().await }",
            "s0 s1 se 0e 1e",
        ),
    ]);
}

#[test]
fn patterns_may_have_braces_and_bars() {
    allow(&[
        (
            "while let Frame::Data { buf } = next().await { a(buf).await; } b().await",
            "s0 01 02 10 2e",
        ),
        (
            "if let P { x } = get().await { a().await; } b().await",
            "s0 01 02 12 2e",
        ),
        (
            "if !x { a().await } else if let Q { y } = z { b().await } d().await",
            "s0 s1 s2 02 12 2e",
        ),
        (
            "for P { x } in list().await { a(x).await; } b().await",
            "s0 01 02 11 12 2e",
        ),
        (
            "if x && let P { y } | Q { y } = a().await && let R { .. } = b(y).await { c().await }",
            "s0 se 01 0e 12 1e 2e",
        ),
        (
            "let P { x } = a().await else { return };\n b(x).await",
            "s0 01 0e 1e",
        ),
        (
            "loop { if let M { k } = a().await { break } }\n b().await",
            "s0 00 01 1e",
        ),
        ("if let x = { a().await } { b().await }", "s0 01 0e 1e"),
        ("for x in { a().await } { b().await }", "s0 01 0e 11 1e"),
        (
            "if let 1..=3 | [7, ..] = a().await { b().await }",
            "s0 01 0e 1e",
        ),
        (
            "let | P { x } = y; let z: Vec<u8>= a(x).await; let w; b().await",
            "s0 01 1e",
        ),
        (
            "let x: B<dyn I<Item = u8>> = if y { a().await } else { b().await };",
            "s0 s1 0e 1e",
        ),
        (
            "match x { P { y } if let Q { z } = a(y).await => b(z).await, _ => {} }",
            "s0 se 01 0e 1e",
        ),
    ]);
}
