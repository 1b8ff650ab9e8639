//! `camshaft states`: the state diagram of one function.
//!
//! The diagram is plain data, made once; each format only writes it down.

mod dot;
mod mermaid;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use camshaft_inspect::StateLayout;
use serde_json::{Value, json};

use crate::describe::{self, Row};
use crate::flow::{self, Node};
use crate::program::{Function, Program};
use crate::sizes;

pub(crate) use dot::{dot, svg};
pub(crate) use mermaid::mermaid;
pub(crate) use text::text;

/// A function as a graph of its states.
pub(crate) struct Diagram<'a> {
    pub(crate) function: &'a Function,
    /// In the order of their tags.
    pub(crate) states: Vec<Vertex<'a>>,
    pub(crate) edges: Vec<Edge>,
    /// Whether the transitions were read from the source, or are only the order of the awaits.
    pub(crate) from_source: bool,
    /// Macros in the source of which it is not known what they do.
    pub(crate) macros: Vec<String>,
}

/// A state.
pub(crate) struct Vertex<'a> {
    pub(crate) state: &'a StateLayout,
    pub(crate) name: String,
    /// Where it waits.
    pub(crate) place: String,
    /// That line, if the file is there.
    pub(crate) source: Option<String>,
    pub(crate) rows: Vec<Row>,
}

/// A transition, and what becomes of the variables.
pub(crate) struct Edge {
    /// Indices of states.
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Held in both at one place.
    pub(crate) keeps: Vec<String>,
    /// Held in both, but at different places.
    pub(crate) moves: Vec<String>,
    /// Held only afterwards.
    pub(crate) adds: Vec<String>,
    /// Held only before.
    pub(crate) ends: Vec<String>,
}

impl<'a> Diagram<'a> {
    pub(crate) fn of(program: &'a Program, function: &'a Function) -> Self {
        let (layout, names) = (&function.layout, &program.names);
        let home = layout.defined.as_ref();
        let source = home.and_then(|site| source(Path::new(&*site.file), &program.path));
        let line = |state: &StateLayout| {
            let site = state.state.site.as_ref()?;
            (home.map(|home| &home.file) == Some(&site.file)).then_some(site.line)
        };
        let states: Vec<_> = layout
            .states
            .iter()
            .map(|state| Vertex {
                state,
                name: describe::state_name(state),
                place: describe::state_place(state, layout),
                source: line(state)
                    .filter(|_| state.state.value > 2)
                    .zip(source.as_ref())
                    .and_then(|(line, text)| source_line(text, line)),
                rows: match describe::is_over(state) {
                    true => Vec::new(),
                    false => describe::rows(state, names),
                },
            })
            .collect();
        let waits: Vec<_> = (0..states.len())
            .filter(|index| states[*index].state.state.value > 2)
            .collect();
        let lines: Option<Vec<_>> = waits
            .iter()
            .map(|index| line(states[*index].state))
            .collect();
        let found = source
            .as_ref()
            .zip(lines)
            .zip(home)
            .and_then(|((text, lines), home)| flow::flow(text, home.line, &lines));
        let from_source = found.is_some();
        let found = found.unwrap_or_else(|| flow::in_order(waits.len()));
        let index = |node| match node {
            Node::Start => position(&states, 0),
            Node::End => position(&states, 1),
            Node::Await(number) => waits.get(number).copied(),
        };
        let edges = found.edges.into_iter();
        let edges = edges
            .filter_map(|(from, to)| Some(edge(&states, index(from)?, index(to)?)))
            .collect();
        Self {
            function,
            states,
            edges,
            from_source,
            macros: found.macros,
        }
    }

    /// Says what the arrows are, in one sentence.
    pub(crate) fn note(&self) -> String {
        let note = if self.from_source {
            "The source allows these ways between states. A panic leads from any of them to panicked."
        } else {
            "The ways between states are only the order of the awaits: the source is not there, has changed since, or \
             hides awaits in macros."
        };
        if self.macros.is_empty() {
            return note.to_owned();
        }
        let macros: Vec<_> = self.macros.iter().map(|name| format!("{name}!")).collect();
        let macros = macros.join(", ");
        format!(
            "{note} What {macros} makes of the awaits in it is not known: it is taken to do each once, in their order."
        )
    }

    pub(crate) fn edges_from(&self, from: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.from == from)
    }

    pub(crate) fn to_json(&self) -> Result<Value> {
        let mut value = sizes::function(self.function)?;
        let edge = |edge: &Edge| {
            json!({
                "from": self.states[edge.from].name,
                "to": self.states[edge.to].name,
                "keeps": edge.keeps,
                "moves": edge.moves,
                "adds": edge.adds,
                "ends": edge.ends,
            })
        };
        value["transitions"] = self.edges.iter().map(edge).collect();
        value["transitions_from_source"] = json!(self.from_source);
        value["transitions_unsure_of_macros"] = json!(self.macros);
        Ok(value)
    }
}

impl Edge {
    /// What becomes of the variables, in words.
    pub(crate) fn words(&self) -> Vec<(&'static str, String)> {
        [
            ("moves", &self.moves),
            ("adds", &self.adds),
            ("keeps", &self.keeps),
            ("ends", &self.ends),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(verb, names)| (verb, names.join(", ")))
        .collect()
    }
}

/// The text of a file, unless it has been written since the program was built.
fn source(file: &Path, program: &Path) -> Option<String> {
    let written = |path| {
        std::fs::metadata(path)
            .and_then(|data| data.modified())
            .ok()
    };
    if written(file)? > written(program)? {
        return None;
    }
    std::fs::read_to_string(file).ok()
}

fn position(states: &[Vertex<'_>], value: u128) -> Option<usize> {
    states.iter().position(|one| one.state.state.value == value)
}

fn source_line(text: &str, line: u64) -> Option<String> {
    let index = usize::try_from(line).ok()?.checked_sub(1)?;
    let line = text.lines().nth(index)?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn edge(states: &[Vertex<'_>], from: usize, to: usize) -> Edge {
    let before = variables(&states[from]);
    let after = variables(&states[to]);
    let mut edge = Edge {
        from,
        to,
        keeps: Vec::new(),
        moves: Vec::new(),
        adds: Vec::new(),
        ends: Vec::new(),
    };
    for (name, place) in &after {
        let list = match before.get(name) {
            Some(same) if same == place => &mut edge.keeps,
            Some(_) => &mut edge.moves,
            None => &mut edge.adds,
        };
        list.push((*name).to_owned());
    }
    let ended = before.keys().filter(|name| !after.contains_key(*name));
    edge.ends.extend(ended.map(|name| (*name).to_owned()));
    edge
}

/// The variables with names of their own, and where they are.
fn variables<'a>(vertex: &'a Vertex<'_>) -> BTreeMap<&'a str, u64> {
    if describe::is_over(vertex.state) {
        return BTreeMap::new();
    }
    let named = |name: &str| !name.starts_with("__");
    let held = vertex.state.holds.iter();
    held.filter(|held| held.size > 0 && named(&held.name))
        .map(|held| (&*held.name, held.offset))
        .collect()
}
