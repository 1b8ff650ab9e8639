//! Shapes of control flow with the ways that each allows.
//!
//! `s` is the start, `e` the end, numbers are awaits as they stand in the text: `01` leads from the first to the second.

use super::*;

/// The transitions of a function from its second line on.
fn flow_of(text: &str) -> Option<Flow> {
    let source = format!("// the first line\nasync fn f() {{\n{text}\n}}");
    let lines = source.lines().zip(1..);
    let awaits: Vec<_> = lines
        .flat_map(|(line, number)| std::iter::repeat_n(number, line.matches(".await").count()))
        .collect();
    flow(&source, 2, &awaits)
}

fn ways(text: &str) -> Option<String> {
    let name = |node| match node {
        Node::Start => "s".to_owned(),
        Node::End => "e".to_owned(),
        Node::Await(number) => number.to_string(),
    };
    let said = flow_of(text)?.edges.into_iter();
    let said: Vec<_> = said
        .map(|(from, to)| format!("{}{}", name(from), name(to)))
        .collect();
    Some(said.join(" "))
}

/// Each text allows exactly these ways.
fn allow(table: &[(&str, &str)]) {
    let sorted = |text: &str| {
        let mut list: Vec<_> = text.split(' ').map(str::to_owned).collect();
        list.sort();
        list.join(" ")
    };
    let wrong: Vec<_> = table
        .iter()
        .map(|(text, wanted)| {
            (
                text,
                sorted(&ways(text).unwrap_or_default()),
                sorted(wanted),
            )
        })
        .filter(|(_, said, wanted)| said != wanted)
        .map(|(text, said, wanted)| format!("{text}\n    said:   {said}\n    wanted: {wanted}"))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

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

#[test]
fn what_others_do_is_their_own() {
    allow(&[
        (
            "let f = async move { x().wait }; let g = async |x| y; a().await",
            "s0 0e",
        ),
        ("let f = async move { x()?; return 3 }; a().await", "s0 0e"),
        ("let f = |x| x?; a().await", "s0 0e"),
        ("let f = |x| return x; a().await", "s0 0e"),
        ("let f = || { return 3 }; a().await", "s0 0e"),
        (
            "let f = move |x: &str| -> Option<u8> { x.get()?; return None }; a().await",
            "s0 0e",
        ),
        (
            "x.map(|y| y?).unwrap_or_else(|| return 3); a().await",
            "s0 0e",
        ),
        (
            "x.map(|(a, b)| a.collect::<M<_, _>>()?, c?).d(); a().await",
            "se s0 0e",
        ),
        ("f(|| x || y, z && a().await)", "s0 se 0e"),
        ("f(x || y, |z| z && w, a().await)", "s0 0e"),
        ("if x.any(|y| y? == 1) { a().await }", "s0 se 0e"),
        (
            "x.f(async |y| { y? }, async move |z| z?).g(a().await)",
            "s0 0e",
        ),
        (
            "fn g(x: u8) -> Option<u8> { x?; return 3 }\n a().await",
            "s0 0e",
        ),
        (
            "impl T for S { async fn g() { x? } fn h(&self); }\n a().await",
            "s0 0e",
        ),
        (
            "macro_rules! m { ($x:expr) => { $x?; return }; }\n a().await",
            "s0 0e",
        ),
        (
            "let f = |x| { loop { break } }; loop { a().await; break }",
            "s0 0e",
        ),
    ]);
}

#[test]
fn macros() {
    allow(&[
        (
            "select! { x = y => a().await, z = w => { b().await } }\n c().await",
            "s0 s1 02 12 2e",
        ),
        (
            "select! { x = y, if z => a().await, else => return }\n b().await",
            "s0 se 01 1e",
        ),
        (
            "loop { select! { _ = x => break, y = z => a(y).await } }\n b().await",
            "s0 s1 00 01 1e",
        ),
        (
            "assert!(a().await); assert_eq!(b().await, c().await, \"d\")",
            "s0 01 12 2e",
        ),
        ("vec![a().await, b().await]", "s0 01 1e"),
        (
            "if matches!(a().await, A | B { .. }) { b().await }",
            "s0 01 0e 1e",
        ),
        (
            "if x { unreachable!(\"{}\", a().await) } b().await",
            "s0 s1 1e",
        ),
    ]);
}

#[test]
fn macros_that_wait_themselves() {
    // The second line has the macro, and no `await` of its own.
    let edges = |text: &str, awaits: &[u64]| {
        let flow = flow(text, 1, awaits)?;
        Some((flow.edges, flow.macros))
    };
    let (start, first, second) = (Node::Start, Node::Await(0), Node::Await(1));
    let wanted = vec![(start, first), (first, second), (second, Node::End)];
    // What is handed to `join!` is evaluated before it waits; what `select!` leads to, afterwards.
    let text = "async fn f() {\nlet x = join!(\na(b().await), c());\n}";
    assert_eq!(
        edges(text, &[3, 2]),
        Some((
            vec![(start, first), (first, second), (second, Node::End)],
            vec![]
        ))
    );
    let text = "async fn f() {\nselect! {\nx = y => a().await, }\n}";
    assert_eq!(edges(text, &[2, 3]), Some((wanted, vec![])));
}

#[test]
fn awaits_of_others_on_a_line_do_not_count() {
    let text = "async fn f() {\na(async { b().await }).await; c(async |x| x.await).await }";
    let flow = flow(text, 1, &[2, 2]).expect("it is understood");
    let (start, first, second) = (Node::Start, Node::Await(0), Node::Await(1));
    assert_eq!(
        flow.edges,
        [(start, first), (first, second), (second, Node::End)]
    );
}

#[test]
fn what_an_unknown_macro_does_is_said_not_to_be_known() {
    let known = flow_of("println!(\"{}\", a().await)").expect("it is understood");
    assert!(known.macros.is_empty());
    for text in [
        "often!(a().await)",
        "x::often! { 3; a().await?; }",
        "often![b => a().await]",
    ] {
        let unknown = flow_of(text).expect("it is understood");
        assert_eq!(unknown.macros, ["often"], "{text}");
    }
    let harmless = flow_of("often!(3); a().await").expect("it is understood");
    assert!(harmless.macros.is_empty());
    let ends = flow_of("if x { often!(return) } a().await").expect("it is understood");
    assert_eq!(ends.macros, ["often"]);
}

#[test]
fn what_is_not_understood_has_no_answer() {
    assert_eq!(flow("async fn f() { a().await }", 1, &[2]), None);
    assert_eq!(flow("async fn f() { a().await }", 2, &[1]), None);
    assert_eq!(
        flow("async fn f() { async { b }; a().await }", 1, &[1]),
        None
    );
    assert_eq!(ways("break 'a; a().await"), None);
    assert_eq!(ways("macro_rules! m { () => { a().await } }\n m!()"), None);
    assert_eq!(ways(&"(".repeat(300)), None);
    for text in [
        "",
        "async",
        "async fn f(",
        "async fn f() {",
        "async |",
        "async || x.await",
        "async fn f() { |",
        "async fn f() { ||",
        "async fn f() { a::<",
        "async fn f() { match x { y if",
        "async fn f() { 'a: {",
        "async fn f() { macro_rules!",
        "async fn f() { |x| ->",
    ] {
        let _ = flow(text, 1, &[1]);
        let _ = flow(text, 1, &[]);
    }
}

#[test]
fn closures_need_no_block() {
    let wanted = vec![(Node::Start, Node::Await(0)), (Node::Await(0), Node::End)];
    for (text, line) in [
        ("f(async |x| x.await + 1, y)", 1),
        ("f(async || x.await + 1, y)", 1),
        ("f(async move {\nx.await + 1 }, y)", 2),
    ] {
        let flow = flow(text, 1, &[line]).expect("it is understood");
        assert_eq!(flow.edges, wanted, "{text}");
    }
}
