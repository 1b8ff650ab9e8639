//! What becomes of an error: a row that was skipped, because this machine can't run it, or one that failed.

use std::io;

use crate::experiment::Outcome;

/// Something that a row needs is not there, and what; an error that is no failure.
#[derive(Debug)]
pub(crate) struct Missing(String);

impl Missing {
    /// Says what is missing, and what to do about it.
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// What the report says of a run that ended with this error.
pub(crate) fn outcome(error: &anyhow::Error) -> Outcome {
    if let Some(missing) = error.downcast_ref::<Missing>() {
        return Outcome::Skipped(missing.0.clone());
    }
    if error.chain().any(is_out_of_descriptors) {
        let limit = limit().map_or_else(|| "unknown".to_owned(), |limit| limit.to_string());
        let why = "it needs more open files than `ulimit -n` allows";
        return Outcome::Skipped(format!("{why}: raise the hard limit, which is {limit}"));
    }
    Outcome::Failed(format!("{error:#}"))
}

fn is_out_of_descriptors(cause: &(dyn std::error::Error + 'static)) -> bool {
    let error = cause.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.raw_os_error() == Some(libc::EMFILE))
}

/// The most files that this process may ever have open.
fn limit() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid to write to.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (result == 0).then_some(limit.rlim_max)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn what_is_missing_is_skipped_with_the_reason() {
        let error = anyhow::Error::from(Missing::new("no ring")).context("while it served");
        assert_eq!(outcome(&error), Outcome::Skipped("no ring".to_owned()));
    }

    #[test]
    fn a_lack_of_descriptors_names_the_limit() {
        let error = Err::<(), _>(io::Error::from_raw_os_error(libc::EMFILE));
        let error = error.context("no connection").unwrap_err();
        let Outcome::Skipped(why) = outcome(&error) else {
            panic!("{error:#} is no failure");
        };
        let limit = limit().unwrap().to_string();
        assert!(why.contains("`ulimit -n`") && why.contains(&limit), "{why}");
    }

    #[test]
    fn all_else_failed() {
        let error = anyhow::anyhow!("lost").context("no reply");
        assert_eq!(
            outcome(&error),
            Outcome::Failed("no reply: lost".to_owned())
        );
    }
}
