//! Expansions token by token, and errors with the source they point to.

use super::*;

fn tokens(source: &str) -> TokenStream {
    source.parse().expect("the test is made of tokens")
}

#[track_caller]
fn assert_expands(kind: Kind, options: &str, item: &str, expected: &str) {
    let expansion = expand(kind, tokens(options), tokens(item));
    assert_eq!(expansion.to_string(), tokens(expected).to_string());
}

/// What is wrong, each with the source that it points to.
fn errors(kind: Kind, options: &str, item: &str) -> Vec<(String, String)> {
    let (options, mut fault) = Options::parse(tokens(options));
    match syn::parse2::<Function>(tokens(item)) {
        Ok(function) => {
            function.run(kind, &options);
            if let Err(error) = function.check(kind) {
                combine(&mut fault, error);
            }
        }
        Err(error) => combine(&mut fault, error),
    }
    fault
        .into_iter()
        .flatten()
        .map(|error| {
            (
                error.to_string(),
                error.span().source_text().unwrap_or_default(),
            )
        })
        .collect()
}

#[track_caller]
fn assert_refused(options: &str, source: &str, message: &str) {
    let found = errors(Kind::Main, options, "async fn main() {}");
    assert_eq!(found, [(message.to_owned(), source.to_owned())]);
}

#[track_caller]
fn assert_refused_item(kind: Kind, item: &str, source: &str, message: &str) {
    assert_eq!(
        errors(kind, "", item),
        [(message.to_owned(), source.to_owned())]
    );
}

#[test]
fn main_without_options_blocks_on_the_function_as_written() {
    assert_expands(
        Kind::Main,
        "",
        "async fn main() -> io::Result<()> { serve().await }",
        "fn main() -> io::Result<()> {
            async fn main() -> io::Result<()> { serve().await }
            ::camshaft::block_on(main())
        }",
    );
}

#[test]
fn options_become_calls_on_the_builder_in_their_order() {
    assert_expands(
        Kind::Main,
        r#"backend = "io_uring", spin = "adaptive", paused_clock = true, ring_entries = 256, name = "web","#,
        "pub(crate) async fn start() {}",
        r#"pub(crate) fn start() {
            async fn start() {}
            match ::camshaft::runtime::Builder::new()
                .backend(::camshaft::runtime::Backend::IoUring)
                .spin(::camshaft::runtime::Spin::Adaptive)
                .paused_clock(true)
                .ring_entries(256)
                .name("web")
                .build()
            {
                ::core::result::Result::Ok(runtime) => runtime.block_on(start()),
                ::core::result::Result::Err(error) => {
                    ::core::panic!("camshaft cannot build the runtime: {error}")
                }
            }
        }"#,
    );
}

#[test]
fn every_word_of_backend_and_spin_is_understood() {
    for (option, variant) in [
        (r#"backend = "auto""#, "Backend :: Auto"),
        (r#"backend = "epoll""#, "Backend :: Epoll"),
        (r#"backend = "io_uring""#, "Backend :: IoUring"),
        (r#"spin = "off""#, "Spin :: Off"),
        (r#"spin = "adaptive""#, "Spin :: Adaptive"),
        (r#"spin = "always""#, "Spin :: Always"),
    ] {
        let expansion =
            expand(Kind::Main, tokens(option), tokens("async fn main() {}")).to_string();
        assert!(expansion.contains(variant), "{option}: {expansion}");
        assert!(
            !expansion.contains("compile_error"),
            "{option}: {expansion}"
        );
    }
}

#[test]
fn test_keeps_attributes_and_puts_its_own_first() {
    assert_expands(
        Kind::Test,
        "",
        r#"#[should_panic(expected = "x")] #[ignore] #[cfg(unix)] #[doc = " Docs."] async fn fails() { panic!("x") }"#,
        r#"#[::core::prelude::v1::test]
        #[should_panic(expected = "x")] #[ignore] #[cfg(unix)] #[doc = " Docs."]
        fn fails() {
            async fn fails() { panic!("x") }
            ::camshaft::block_on(fails())
        }"#,
    );
}

#[test]
fn the_crate_can_be_elsewhere() {
    assert_expands(
        Kind::Main,
        r#"spin = "off", crate = "framework::camshaft""#,
        "async fn main() {}",
        r#"fn main() {
            async fn main() {}
            match framework::camshaft::runtime::Builder::new().spin(framework::camshaft::runtime::Spin::Off).build() {
                ::core::result::Result::Ok(runtime) => runtime.block_on(main()),
                ::core::result::Result::Err(error) => {
                    ::core::panic!("camshaft cannot build the runtime: {error}")
                }
            }
        }"#,
    );
    assert_expands(
        Kind::Main,
        r#"crate = "::other""#,
        "async fn main() {}",
        "fn main() { async fn main() {} ::other::block_on(main()) }",
    );
}

#[test]
fn the_body_may_hold_what_no_parser_here_understands() {
    assert_expands(
        Kind::Main,
        "",
        "async fn main() { #![allow(unused)] let @ tomorrow's => syntax; }",
        "fn main() {
            async fn main() { #![allow(unused)] let @ tomorrow's => syntax; }
            ::camshaft::block_on(main())
        }",
    );
}

#[test]
fn unknown_and_repeated_options_are_refused_at_their_names() {
    assert_refused(
        "flavor = 1",
        "flavor",
        "unknown option `flavor`; the options are `backend`, `spin`, `ring_entries`, `paused_clock`, `name`, `crate`",
    );
    assert_refused(
        r#"name = "a", name = "b""#,
        "name",
        "the option `name` is given twice",
    );
    assert_refused(
        "paused_clock",
        "paused_clock",
        "the option `paused_clock` needs a value: `paused_clock = …`",
    );
    assert_refused(
        r#""io_uring""#,
        r#""io_uring""#,
        "expected the name of an option; the options are `backend`, `spin`, `ring_entries`, `paused_clock`, `name`, `crate`",
    );
    assert_refused(
        r#"name = "a"; spin = "off""#,
        ";",
        "expected a comma between two options",
    );
}

#[test]
fn values_of_the_wrong_type_are_refused_at_the_value() {
    assert_refused(
        "backend = 1",
        "1",
        "`backend` takes a string: `backend = \"auto\"`",
    );
    assert_refused(
        "spin = Spin::Off",
        "Spin::Off",
        "`spin` takes a string: `spin = \"off\"`",
    );
    assert_refused(
        "paused_clock = 1 + 1",
        "1 + 1",
        "`paused_clock` takes a boolean: `paused_clock = true`",
    );
    assert_refused(
        "ring_entries = \"8\"",
        "\"8\"",
        "`ring_entries` takes an integer: `ring_entries = 256`",
    );
    assert_refused(
        "name = 'x'",
        "'x'",
        "`name` takes a string: `name = \"acceptor\"`",
    );
    assert_refused(
        "crate = camshaft",
        "camshaft",
        "`crate` takes a string: `crate = \"my_crate::camshaft\"`",
    );
}

#[test]
fn values_out_of_range_are_refused_at_the_value() {
    assert_refused(
        r#"backend = "kqueue""#,
        r#""kqueue""#,
        r#"unknown backend "kqueue"; it is one of "auto", "io_uring", "epoll""#,
    );
    assert_refused(
        r#"spin = "on""#,
        r#""on""#,
        r#"unknown spin "on"; it is one of "off", "adaptive", "always""#,
    );
    for number in ["0", "4294967296", "-1"] {
        let found = errors(
            Kind::Main,
            &format!("ring_entries = {number}"),
            "async fn main() {}",
        );
        assert_eq!(found.len(), 1, "{number}: {found:?}");
        assert_eq!(found[0].1, number);
    }
    assert_refused(
        r#"crate = "a b""#,
        r#""a b""#,
        "\"a b\" is not the path of a crate, such as \"my_crate::camshaft\"",
    );
}

#[test]
fn all_errors_are_reported_at_once_and_the_rest_still_works() {
    let options = r#"backend = 1, spin = "off", speed = 2"#;
    let found = errors(Kind::Main, options, "async fn main() {}");
    assert_eq!(
        found
            .iter()
            .map(|error| error.1.as_str())
            .collect::<Vec<_>>(),
        ["1", "speed"]
    );
    let expansion = expand(Kind::Main, tokens(options), tokens("async fn main() {}")).to_string();
    assert_eq!(expansion.matches("compile_error").count(), 2);
    assert!(expansion.contains("Spin :: Off"), "{expansion}");
}

#[test]
fn signatures_that_cannot_be_run_are_refused_at_the_token() {
    use Kind::{Main, Test};
    let m = "#[camshaft::main]";
    let t = "#[camshaft::test]";
    for (kind, item, source, message) in [
        (
            Main,
            "fn main() {}",
            "fn",
            format!("{m} runs an async function: write `async fn`"),
        ),
        (
            Test,
            "fn works() {}",
            "fn",
            format!("{t} runs an async function: write `async fn`"),
        ),
        (
            Main,
            "async fn main(a: u8, b: u8) {}",
            "a: u8, b: u8",
            format!("a function with {m} takes no arguments"),
        ),
        (
            Test,
            "async fn works(&self) {}",
            "&self",
            format!("a function with {t} takes no arguments"),
        ),
        (
            Main,
            "async fn main<T>() {}",
            "<T>",
            format!("a function with {m} takes no generic parameters"),
        ),
        (
            Main,
            "async fn main() where u8: Copy {}",
            "where u8: Copy",
            format!("a function with {m} takes no `where` clause"),
        ),
        (
            Main,
            "async unsafe fn main() {}",
            "unsafe",
            format!("a function with {m} is not `unsafe`"),
        ),
        (
            Main,
            "async extern \"C\" fn main() {}",
            "extern \"C\"",
            format!("a function with {m} has the Rust ABI"),
        ),
        (
            Test,
            "#[test] async fn works() {}",
            "#[test]",
            format!("{t} takes the place of `#[test]`: remove this one"),
        ),
    ] {
        assert_refused_item(kind, item, source, &message);
    }
}

#[test]
fn a_function_that_was_refused_leaves_one_of_its_name() {
    let expansion = expand(
        Kind::Main,
        tokens(""),
        tokens("#[cfg(unix)] async fn main(a: u8) -> u8 { a }"),
    )
    .to_string();
    let stub =
        tokens("#[cfg(unix)] #[allow(dead_code)] fn main() -> u8 { ::core::unreachable!() }")
            .to_string();
    assert!(expansion.contains("compile_error"), "{expansion}");
    assert!(expansion.ends_with(&stub), "{expansion}");
}

#[test]
fn what_is_no_function_is_passed_on_beside_the_error() {
    for item in ["struct Main;", "async fn main();", "mod tests {}"] {
        let expansion = expand(Kind::Test, tokens(""), tokens(item)).to_string();
        assert!(
            expansion.contains("#[camshaft::test] belongs on an `async fn` with a body"),
            "{expansion}"
        );
        assert!(
            expansion.ends_with(&tokens(item).to_string()),
            "{expansion}"
        );
    }
}
