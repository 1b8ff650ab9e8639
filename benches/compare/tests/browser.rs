//! The page in a real browser: it opens without a complaint, fits a screen and a phone, has a chart with every row of
//! every experiment, and asks nobody for anything.
//!
//! The page is that of `CAMSHAFT_COMPARE_OUT`, a folder that the comparison has written; without it, one experiment is run
//! here. Where there is no Chromium the test says so and passes. With `CAMSHAFT_SCREENSHOTS`, pictures of the page go to
//! that folder.

#[path = "../../../tests/common/chromium.rs"]
mod chromium;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chromium::Browser;
use serde_json::{Value, json};

/// What a page must have, told by the page: the width of its content, and of each experiment the rows that are shown.
const LOOK: &str = "(() => ({
    width: document.documentElement.scrollWidth,
    screen: document.documentElement.clientWidth,
    outside: [...document.querySelectorAll('body *')]
        .filter(element => !element.closest('.scroll, svg') && element.getBoundingClientRect().right > innerWidth + 1)
        .map(element => element.outerHTML.slice(0, 120)),
    experiments: Object.fromEntries([...document.querySelectorAll('section.experiment')].map(section => [section.id,
        [...section.querySelectorAll('svg')].filter(svg => svg.checkVisibility()).map(svg => ({
            rows: [...svg.querySelectorAll('.series')].map(series => series.dataset.row).sort(),
            marks: svg.querySelectorAll('.series .hit title').length,
            cut: [...svg.querySelectorAll('text')].filter(text => {
                const box = text.getBoundingClientRect(), frame = svg.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
            }).map(text => text.textContent),
        }))])),
}))()";

#[test]
fn the_page_is_whole_on_a_screen_and_on_a_phone() {
    let Some(mut browser) = Browser::start() else {
        eprintln!("skipped: no chromium on PATH");
        return;
    };
    let folder = report();
    let expected = rows_with_figures(&folder.join("results.json"));
    assert!(!expected.is_empty(), "an empty report shows nothing");
    let page = format!("file://{}", folder.join("index.html").display());
    for (width, scheme) in [(1280, "light"), (400, "dark"), (320, "light")] {
        browser.resize(width, scheme);
        browser.open(&page);
        let seen = browser.evaluate(LOOK);
        assert_eq!(seen["outside"], json!([]), "sticks out at {width}");
        assert_eq!(
            seen["width"], seen["screen"],
            "the page scrolls sideways at {width}"
        );
        for (name, points) in &expected {
            let charts = &seen["experiments"][name];
            let [chart] = charts.as_array().map_or(&[][..], Vec::as_slice) else {
                panic!("{name} has no chart, or several, at {width}: {charts}");
            };
            let rows: Vec<&String> = points.keys().collect();
            assert_eq!(chart["rows"], json!(rows), "the rows of {name} at {width}");
            assert_eq!(
                chart["marks"],
                json!(points.values().sum::<usize>()),
                "the points of {name}"
            );
            assert_eq!(chart["cut"], json!([]), "{name} is cut off at {width}");
        }
        if let Some(folder) = env::var_os("CAMSHAFT_SCREENSHOTS") {
            let path = Path::new(&folder).join(format!("{width}-{scheme}.png"));
            fs::write(path, browser.picture()).expect("the folder of pictures can be written");
        }
    }
    assert_eq!(browser.complaints(), [] as [String; 0]);
    let strange = |request: &&String| **request != page && !request.starts_with("data:");
    let requests = browser.requests();
    assert_eq!(
        requests.iter().find(strange),
        None,
        "the page asks for something"
    );
    assert!(requests.contains(&page), "{requests:?}");
}

/// A folder with a report.
fn report() -> PathBuf {
    if let Some(folder) = env::var_os("CAMSHAFT_COMPARE_OUT") {
        return fs::canonicalize(folder).expect("CAMSHAFT_COMPARE_OUT is a folder");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    let run = Command::new(env!("CARGO_BIN_EXE_camshaft-compare"))
        .args(["--smoke", "--rounds", "2", "--only", "counters", "--out"])
        .arg(&folder)
        .output()
        .expect("the comparison can be started");
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    folder
}

/// The rows of each experiment that have figures, and at how many points.
fn rows_with_figures(path: &Path) -> BTreeMap<String, BTreeMap<String, usize>> {
    let text = fs::read(path).expect("the report has its raw data");
    let results: Value = serde_json::from_slice(&text).expect("the raw data are JSON");
    let experiments = results["experiments"]
        .as_object()
        .expect("experiments by their names");
    let has_samples = |runs: &&Value| {
        runs["samples"]
            .as_array()
            .is_some_and(|samples| !samples.is_empty())
    };
    let rows = |series: &Value| {
        let rows = series.as_array().into_iter().flatten().filter_map(|row| {
            let points = row["points"]
                .as_object()?
                .values()
                .filter(has_samples)
                .count();
            Some((row["subject"].as_str()?.to_owned(), points))
        });
        rows.filter(|(_, points)| *points > 0)
            .collect::<BTreeMap<_, _>>()
    };
    let with_rows = experiments
        .iter()
        .map(|(name, series)| (name.clone(), rows(series)));
    with_rows.filter(|(_, rows)| !rows.is_empty()).collect()
}
