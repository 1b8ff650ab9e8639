//! The sentences that Markdown and page have in common.

use crate::experiment::Scale;
use crate::report::control;
use crate::report::section::Section;
use crate::results::Results;

/// What the comparison is.
pub(crate) const WHAT: &str = "Tasks without a stack of their own beside fibers with one, on the same executor, ring, timers and channels; and \
    around them threads, processes, bare event loops, other runtimes and other languages. Every figure is a cost: \
    less is better.";

/// How it is kept fair, in short.
pub(crate) const RULES: [&str; 6] = [
    "One thing varies at a time. Between a stackless and a stackful row only the place of the frames differs.",
    "Both are built as well as they can be: fibers on pooled, guarded, warm stacks; async functions boxed and inline.",
    "Every subject runs once a round, in a new random order, in its own process, on one core unless its name says more.",
    "Medians of all rounds. CPU time stands beside elapsed time; page tables and kernel memory beside resident memory.",
    "The control row is one subject measured twice. What is expected was written down before it was measured.",
    "What can't run is listed with the reason. Ratios of one run count; absolute figures are those of one machine.",
];

/// How noise is computed.
pub(crate) const NOISE: &str = "The noise of a median (±) is half the width of the interval that holds the true one with 99 % confidence, \
    computed on logarithms: ± 5 % is a factor of 1.05 up or down, and ×÷ 4 a factor of four. From eight rounds on, \
    it is the interval between two of the sorted rounds, whatever their distribution; with fewer it comes from \
    Student's t, and the variance of so few rounds is averaged with what is usual among the rows of the same point, if that is more. \
    It is never stated below 1 %, for where code happens to lie makes a difference that rounds don't show. The noise \
    of a ratio is the root of the sum of both squares, and never less than what the two control rows differ by at \
    that point. A difference within the noise is none.";

/// Where, when and how: a name and a value a line.
pub(crate) fn machine(results: &Results) -> Vec<(&'static str, String)> {
    let machine = &results.machine;
    let scale = match results.scale {
        Scale::Smoke => "smoke",
        Scale::Quick => "quick",
        Scale::Full => "full",
    };
    let rounds = match (results.rounds, results.interrupted) {
        (1, false) => "1".to_owned(),
        (rounds, false) => format!("{rounds}, in random order (seed {})", results.seed),
        (rounds, true) => format!("{rounds} planned; the run was interrupted before its end"),
    };
    vec![
        ("date", date(machine.unix_time)),
        ("kernel", format!("Linux {}", machine.kernel)),
        ("processor", machine.cpu.clone()),
        ("memory", memory(&machine.memory)),
        ("load before", machine.load_average.clone()),
        ("backend", machine.backend.clone()),
        ("scale", scale.to_owned()),
        ("rounds", rounds),
        ("versions", machine.versions.join(", ")),
    ]
}

/// What to suspect first, if there is anything.
pub(crate) fn warnings(results: &Results, sections: &[Section]) -> Vec<String> {
    let mut warnings = Vec::new();
    if results.scale == Scale::Smoke {
        warnings.push(
            "A smoke run shows that everything works; no figure of it means anything.".into(),
        );
        return warnings;
    }
    if results
        .machine
        .versions
        .iter()
        .any(|version| version.contains("not optimized"))
    {
        warnings.push("This program was built without optimization: no figure means anything. Use cargo run --release.".into());
    }
    if let Some(load) = busy(results) {
        warnings.push(load);
    }
    let pairs = control::pairs(sections);
    if pairs.iter().all(|pair| pair.holds() != Some(true))
        || pairs.iter().any(|pair| pair.holds() == Some(false))
    {
        warnings.push(control::in_short(&pairs));
    }
    warnings
}

/// What to say if the machine had other work before the first run.
fn busy(results: &Results) -> Option<String> {
    let number = |text: &str| text.split_whitespace().next()?.parse::<f64>().ok();
    let (load, cores) = (
        number(&results.machine.load_average)?,
        number(&results.machine.cpu)?,
    );
    (load > cores / 2.0).then(|| {
        format!(
            "The machine was busy before it began, with a load of {load} on {cores} cores. Look at CPU times, or run it \
             again when it is idle."
        )
    })
}

/// A moment in UTC, to the minute, by the calendar of Gregory.
pub(crate) fn date(unix_time: u64) -> String {
    let (days, seconds) = (unix_time / 86_400, unix_time % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u64::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    format!(
        "{year}-{:02}-{:02} {:02}:{:02} UTC",
        month + 1,
        day + 1,
        seconds / 3600,
        seconds / 60 % 60
    )
}

/// `24593408 kB` as `23.5 GiB`.
fn memory(text: &str) -> String {
    let kib = text.trim_end_matches("kB").trim().parse::<f64>();
    kib.map_or_else(
        |_| text.to_owned(),
        |kib| format!("{:.1} GiB", kib / 1024.0 / 1024.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_700_000_000), "2023-11-14 22:13 UTC");
        assert_eq!(date(1_735_689_599), "2024-12-31 23:59 UTC");
    }

    #[test]
    fn one_round_is_warned_of() {
        let results = fixture::results(1);
        assert_eq!(warnings(&results, &[fixture::section(1)]).len(), 1);
        assert_eq!(
            warnings(&fixture::results(3), &[fixture::section(3)]),
            [] as [String; 0]
        );
    }

    #[test]
    fn an_interrupted_run_says_so() {
        let mut results = fixture::results(3);
        results.interrupted = true;
        assert!(
            machine(&results)
                .iter()
                .any(|(_, value)| value.contains("interrupted"))
        );
        assert_eq!(memory("24593408 kB"), "23.5 GiB");
    }
}
