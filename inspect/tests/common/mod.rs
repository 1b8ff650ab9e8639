//! Whether the tests can be: most need the debug information of the program that they are in.

use std::io::Write as _;
use std::sync::Once;

/// Whether the profile that this was built with asks for full debug information. The variables are those that were set then.
fn is_asked_for() -> bool {
    let (own, stripped, otherwise) = if cfg!(debug_assertions) {
        let test = option_env!("CARGO_PROFILE_TEST_DEBUG");
        let own = test.or(option_env!("CARGO_PROFILE_DEV_DEBUG"));
        (own, option_env!("CARGO_PROFILE_DEV_STRIP"), "full")
    } else {
        let own = option_env!("CARGO_PROFILE_RELEASE_DEBUG");
        let stripped = option_env!("CARGO_PROFILE_RELEASE_STRIP");
        (own, stripped, "line-tables-only")
    };
    let whole = matches!(stripped, None | Some("none" | "false"));
    whole && matches!(own.unwrap_or(otherwise), "full" | "2" | "true")
}

/// Tells whether a test can be, by what is missing. If it cannot, that is said once, on the standard error that no test captures.
///
/// # Panics
///
/// If the build asked for debug information: then the tests have to find it.
pub(crate) fn is_described(missing: Option<String>) -> bool {
    static SAID: Once = Once::new();
    let Some(missing) = missing else {
        return true;
    };
    assert!(
        !is_asked_for(),
        "the build asked for debug information: {missing}"
    );
    SAID.call_once(|| {
        let text = format!("skipped: tests that need debug information, since {missing}\n");
        let _ = std::io::stderr().write_all(text.as_bytes());
    });
    false
}
