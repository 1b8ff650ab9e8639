//! The trace of a recording keeps the rules of the Trace Event Format, whatever the names in it.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use camshaft::inspect::record;
use camshaft::runtime::Builder;
use camshaft::task::{self, spawn_blocking, yield_now};
use camshaft::time::sleep;
use serde_json::{Value, json};

async fn chatty() {
    for _ in 0..3 {
        yield_now().await;
        sleep(Duration::from_millis(1)).await;
    }
}

/// The trace of tasks that yield, sleep, spawn, panic, are aborted, and are woken by threads; some of them go on.
fn trace(exact: bool) -> Value {
    let runtime = Builder::new().name("a \"runtime\"\n").paused_clock(true);
    let runtime = runtime.build().expect("a runtime can be built");
    let text = runtime.block_on(async {
        if exact {
            record::start_exact(500);
        } else {
            record::start(500);
        }
        for _ in 0..64 {
            yield_now().await; // it begins with the next batch
        }
        let odd = task::Builder::new().name("\u{1}\t\\ \"ü\" 𝄞");
        let named = odd.spawn(chatty());
        let handles: Vec<_> = (0..5).map(|_| camshaft::spawn(chatty())).collect();
        let panics = camshaft::spawn(async { panic!("as meant") });
        drop(camshaft::spawn(std::future::pending::<()>()));
        let aborted = camshaft::spawn(std::future::pending::<()>());
        spawn_blocking(|| ()).await.expect("it ends");
        aborted.abort();
        for handle in handles {
            handle.await.expect("it ends");
        }
        named.await.expect("it ends");
        let _: Result<(), _> = panics.await;
        record::recording()
            .expect("it is recorded")
            .to_chrome_trace()
    });
    serde_json::from_str(&text).expect("it is JSON")
}

/// A slice of a track: when it begins and ends, in microseconds.
type Slices = HashMap<(u64, u64), Vec<(f64, f64)>>;

/// What is wrong with a trace.
fn faults(trace: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let unit = trace["displayTimeUnit"].as_str();
    if !matches!(unit, None | Some("ms" | "ns")) {
        faults.push(format!("displayTimeUnit is {unit:?}"));
    }
    let Some(events) = trace["traceEvents"].as_array() else {
        return vec!["traceEvents is no array".to_owned()];
    };
    let mut slices = Slices::new();
    let mut named = HashSet::new();
    for event in events {
        if let Err(fault) = event_is_sound(event, &mut slices, &mut named) {
            faults.push(format!("{fault}: {event}"));
        }
    }
    for (track, slices) in &mut slices {
        if !named.contains(track) {
            faults.push(format!("track {track:?} has no name"));
        }
        slices.sort_by(|one, two| one.0.total_cmp(&two.0));
        // As viewers compute it: where one begins that has not ended by a bit of a number, they put it below the other.
        if slices.windows(2).any(|two| two[0].1 > two[1].0) {
            faults.push(format!("slices overlap on track {track:?}"));
        }
    }
    faults.extend(flow_faults(events, &slices));
    faults
}

fn event_is_sound(
    event: &Value,
    slices: &mut Slices,
    named: &mut HashSet<(u64, u64)>,
) -> Result<(), String> {
    let number = |key: &str| event[key].as_u64().ok_or(format!("{key} is no number"));
    let text = |key: &str| event[key].as_str().ok_or(format!("{key} is no text"));
    let time = |key: &str| {
        let time = event[key]
            .as_f64()
            .filter(|time| (0.0..1e15).contains(time));
        time.ok_or(format!("{key} is no time"))
    };
    let track = (number("pid")?, number("tid")?);
    let name = text("name")?;
    match text("ph")? {
        "M" => {
            let args = &event["args"];
            let good = match name {
                "process_name" => args["name"].is_string(),
                "thread_name" => named.insert(track) && args["name"].is_string(),
                "thread_sort_index" => args["sort_index"].is_i64(),
                _ => false,
            };
            good.then_some(()).ok_or("it names nothing".to_owned())
        }
        "X" => {
            text("cat")?;
            let begin = time("ts")?;
            slices
                .entry(track)
                .or_default()
                .push((begin, begin + time("dur")?));
            event["args"]
                .as_object()
                .map(|_| ())
                .ok_or("args is no object".to_owned())
        }
        "s" | "f" => {
            text("cat")?;
            number("id")?;
            time("ts").map(|_| ())
        }
        other => Err(format!("there is no phase {other}")),
    }
}

/// Each arrow has one beginning and then one end, each of which lies in a slice.
fn flow_faults(events: &[Value], slices: &Slices) -> Vec<String> {
    let mut faults = Vec::new();
    let mut begun = HashMap::new();
    for event in events {
        let phase = event["ph"].as_str().unwrap_or_default();
        let (Some(id), Some(time)) = (event["id"].as_u64(), event["ts"].as_f64()) else {
            continue;
        };
        let track = (
            event["pid"].as_u64().unwrap_or(0),
            event["tid"].as_u64().unwrap_or(0),
        );
        let on = slices.get(&track).map_or(&[][..], |slices| slices);
        if !on
            .iter()
            .any(|(begin, end)| (begin - 5e-4..=end + 5e-4).contains(&time))
        {
            faults.push(format!("an arrow touches no slice: {event}"));
        }
        let sound = match phase {
            "s" => begun.insert(id, time).is_none(),
            _ => {
                begun
                    .remove(&id)
                    .is_some_and(|before| before <= time + 5e-4)
                    && event["bp"] == "e"
            }
        };
        if !sound {
            faults.push(format!("an arrow without its counterpart: {event}"));
        }
    }
    if !begun.is_empty() {
        faults.push(format!("arrows without an end: {begun:?}"));
    }
    faults
}

#[test]
fn a_trace_keeps_the_rules_of_its_format() {
    let _alone = alone();
    for exact in [false, true] {
        let trace = trace(exact);
        assert_eq!(faults(&trace), Vec::<String>::new());
        let events = trace["traceEvents"].as_array().expect("it was looked at");
        let count = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
        assert!(count("X") > 100, "{}", count("X"));
        assert!(
            count("s") > 20 && count("s") == count("f"),
            "{}",
            count("s")
        );
        let named = |part: &str| {
            let names = events
                .iter()
                .filter_map(|event| event["args"]["name"].as_str());
            names.filter(|name| name.contains(part)).count()
        };
        assert_eq!(named("the root future"), 1);
        let goes_on = events
            .iter()
            .filter(|event| event["args"]["goes_on"] == true);
        assert_eq!(goes_on.count(), 1, "a task waits for ever");
    }
}

#[test]
fn what_breaks_the_rules_is_found() {
    let _alone = alone();
    let good = trace(true);
    type Break = fn(&mut Value);
    let breaks: [(&str, &str, Break); 9] = [
        ("X", "dur", |event| {
            drop(event.as_object_mut().and_then(|event| event.remove("dur")));
        }),
        ("X", "dur", |event| event["dur"] = json!(-1)),
        ("X", "ts", |event| event["ts"] = json!("1.0")),
        ("X", "tid", |event| event["tid"] = json!("one")),
        ("X", "overlap", |event| event["dur"] = json!(1e9)),
        ("X", "no name", |event| event["tid"] = json!(123_456)),
        ("M", "nothing", |event| event["args"] = json!({})),
        ("s", "counterpart", |event| event["id"] = json!(1_000_000)),
        ("f", "slice", |event| event["ts"] = json!(1.5)),
    ];
    for (phase, fault, damage) in breaks {
        let mut bad = good.clone();
        let events = bad["traceEvents"].as_array_mut().expect("it was looked at");
        let event = events.iter_mut().find(|event| event["ph"] == phase);
        damage(event.expect("there is one"));
        let faults = faults(&bad);
        assert!(
            faults.iter().any(|found| found.contains(fault)),
            "{fault}: {faults:?}"
        );
    }
}
