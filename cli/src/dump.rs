//! What the tasks of another process wait for.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::attach::{self, Askable, Door, clean};
use crate::terminal;

/// The runtimes of a process, one after the other. What of them does not answer is an error after the others.
pub(crate) fn dump(pid: u32, as_json: bool, patience: Duration) -> Result<()> {
    let doors = attach::doors(pid)?;
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    for door in &doors {
        let answer = match as_json {
            true => attach::whole(door, patience),
            false => attach::folded(door, patience).map(|look| shown(door, &look, doors.len() > 1)),
        };
        match answer {
            Ok(text) => texts.push(text),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    if as_json {
        let texts: Vec<_> = texts.iter().map(|text| text.trim_end()).collect();
        terminal::print(&format!("[{}]\n", texts.join(",\n")))?;
    } else {
        terminal::print(&texts.join("\n"))?;
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(anyhow!(errors.join("\nerror: "))),
    }
}

/// The processes that can be asked.
pub(crate) fn list(as_json: bool) -> Result<()> {
    let found = attach::askable()?;
    if as_json {
        let one = |one: &Askable| json!({"pid": one.pid, "runtimes": one.runtimes, "command": one.command});
        let all: Vec<_> = found.iter().map(one).collect();
        terminal::print(&format!("{:#}\n", Value::from(all)))?;
        return Ok(());
    }
    let mut text = format!("{:>10}  {:>8}  COMMAND\n", "PID", "RUNTIMES");
    for Askable {
        pid,
        runtimes,
        command,
    } in found
    {
        let _ = writeln!(
            text,
            "{pid:>10}  {runtimes:>8}  {}",
            command.replace('\n', " ")
        );
    }
    terminal::print(&text)?;
    Ok(())
}

/// The text of a look, as `inspect::dump` displays it.
fn shown(door: &Door, look: &Value, is_one_of_many: bool) -> String {
    let mut text = String::new();
    if is_one_of_many {
        let name = name(look);
        let _ = writeln!(
            text,
            "{name} of process {}, on thread {}",
            door.pid, door.listed.thread
        );
    }
    for missing in list_of(look, "missing") {
        let _ = writeln!(text, "{}", words(missing));
    }
    for group in list_of(look, "groups") {
        let _ = writeln!(text, "{}", words(&group["heading"]).replace('\n', " "));
        for line in words(&group["tree"]).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let Some(more) = look["groups_left_out"].as_u64().filter(|more| *more > 0) {
        let _ = writeln!(
            text,
            "and {} more that differ from these; `--json` has all tasks",
            terminal::number(more)
        );
    }
    text + &age(look)
}

/// That the answer was made for an earlier question, if it was.
fn age(look: &Value) -> String {
    let age = Duration::from_nanos(look["age_ns"].as_u64().unwrap_or(0));
    match age < Duration::from_millis(1) {
        true => String::new(),
        false => format!("as it was {age:.0?} ago: it was asked just before\n"),
    }
}

/// What a runtime is called.
pub(crate) fn name(look: &Value) -> String {
    match look["name"].as_str() {
        Some(name) => format!("runtime \"{}\"", clean(name).replace('\n', " ")),
        None => "a runtime without a name".to_owned(),
    }
}

pub(crate) fn list_of<'a>(look: &'a Value, key: &str) -> &'a [Value] {
    look[key].as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn words(text: &Value) -> String {
    clean(text.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_for_an_earlier_question_has_an_age() {
        assert_eq!(age(&json!({"age_ns": 0})), "");
        let text = age(&json!({"age_ns": 57_234_567}));
        assert_eq!(text, "as it was 57ms ago: it was asked just before\n");
    }
}
