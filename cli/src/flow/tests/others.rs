//! Macros, the bodies of others, and what is not understood.

use super::*;

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
