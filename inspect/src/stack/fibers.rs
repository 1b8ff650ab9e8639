//! Fibers in the tree: where they were made, the calls on their stacks, and what the last of these waits for.
//!
//! A fiber is a future that holds a pointer to its stack. Whoever looks is told by the fibers' own list which there are, and who
//! holds each: that needs no types.

use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use crate::bare;
use crate::containers::{Note, first_pointer};
use crate::leaves::FIBER;
use crate::load::little;
use crate::memory::Memory;
use crate::program::with_program;
use crate::stack::calls::Call;
use crate::stack::registers::Registers;
use crate::stack::unwind::{Stacks, Trace};
use crate::tree::{Node, Stage, Standing};
use crate::types::{Shape, Site, TypeKey};
use crate::walk::{Place, Walker, number, tag};

/// A fiber, or a generator, that has a stack.
#[derive(Clone, Debug)]
pub struct FiberSight {
    /// The address of a pointer to `block`, in the future that the fiber is.
    pub owner: usize,
    /// What that pointer leads to.
    pub block: usize,
    /// The name that it was given.
    pub name: Option<String>,
    /// Where it was made.
    pub origin: &'static Location<'static>,
    /// The addresses of its stack.
    pub stack: Range<usize>,
    /// What it is doing.
    pub activity: FiberActivity,
}

/// What a fiber with a stack is doing.
#[derive(Clone, Debug)]
pub enum FiberActivity {
    /// It runs, or has resumed another one that runs.
    Running,
    /// It is suspended with these registers, and waits for a future, if any.
    Waiting(Registers, Option<AwaitedSight>),
    /// It is a generator that is between two values.
    Idle,
}

/// A future that a fiber waits for.
#[derive(Clone, Copy, Debug)]
pub struct AwaitedSight {
    /// Where it is.
    pub address: usize,
    /// The address of a vtable of its type, of any trait, that was made by a cast at run time.
    pub vtable: usize,
    /// What `type_name` says of it.
    pub type_name: &'static str,
}

/// The fibers of a thread, as they are while nobody resumes one.
#[derive(Clone, Debug, Default)]
pub struct Fibers {
    /// In the order of those who own them.
    list: Vec<FiberSight>,
    /// Each block, and whose it is: in order.
    blocks: Vec<(u64, usize)>,
    stacks: Stacks,
    /// Where the thread is, if a fiber runs on it.
    here: Option<Registers>,
}

impl Fibers {
    /// Takes what is known of the fibers of a thread.
    #[must_use]
    pub fn new(mut list: Vec<FiberSight>) -> Self {
        list.sort_unstable_by_key(|fiber| fiber.owner);
        let stacks = list.iter().map(|fiber| wide(&fiber.stack)).collect();
        let blocks = list.iter().map(|fiber| fiber.block as u64);
        let mut blocks: Vec<_> = blocks.zip(0..).collect();
        blocks.sort_unstable();
        Self {
            list,
            blocks,
            stacks: Stacks::new(stacks),
            here: None,
        }
    }

    /// Says where the thread is: in a call that does not return before the fibers were looked at. The calls of one that runs are told from
    /// there.
    #[must_use]
    pub fn here(mut self, registers: Registers) -> Self {
        self.here = Some(registers);
        self
    }

    /// The one that lies in memory of its own there.
    fn with_stack(&self, block: u64) -> Option<&FiberSight> {
        let place = self
            .blocks
            .binary_search_by_key(&block, |(block, _)| *block);
        let (_, number) = self.blocks[place.ok()?];
        self.list.get(number)
    }

    /// Those that lie in a piece of memory.
    fn within(&self, address: u64, size: u64) -> &[FiberSight] {
        let place = |at| self.list.partition_point(|fiber| (fiber.owner as u64) < at);
        let (first, last) = (place(address), place(address.saturating_add(size)));
        self.list.get(first..last).unwrap_or_default()
    }
}

/// What a future says that is a fiber.
enum State {
    /// It has no stack; with the place where it was made.
    Waiting(Option<Site>),
    /// Its stack is that with this block.
    Started(u64),
    /// It has returned.
    Over,
}

fn wide(range: &Range<usize>) -> Range<u64> {
    range.start as u64..range.end as u64
}

/// What the first line of a fiber says.
fn head(name: Option<&str>, stage: Stage, site: Option<Site>) -> Node {
    let name = match name {
        Some(name) => format!("fiber \"{name}\"").into(),
        None => "fiber".into(),
    };
    let mut node = Node::new(Standing::Fiber(stage), name);
    node.site = site;
    node
}

fn site(at: &Location<'_>) -> Site {
    Site {
        file: at.file().into(),
        line: at.line().into(),
    }
}

impl<'a> Walker<'a> {
    /// Tells the walker of the fibers of this process that it may come to. If they are not known, a fiber is told to be one, and no more.
    #[must_use]
    pub fn fibers(mut self, fibers: impl Into<Option<&'a Fibers>>) -> Self {
        self.fibers = fibers.into();
        self
    }

    /// The node of a future that is a fiber. Nothing if it is none, or nobody has told about fibers.
    pub(crate) fn fiber_at(&mut self, note: &Note, place: Place<'_>) -> Option<Node> {
        let fibers = self.fibers.filter(|_| note.of.name.starts_with(FIBER))?;
        let is_owned = |fiber: &&FiberSight| {
            let word = number(place.bytes, fiber.owner as u64 - place.at, 8);
            word == Some(fiber.block as u128)
        };
        let found = fibers.within(place.at, note.of.size).iter().find(is_owned);
        if let Some(found) = found {
            return Some(self.started(fibers, found));
        }
        let state = note.of.member("state").cloned();
        let state = state.and_then(|state| self.part(&state, place));
        let state = state.and_then(|state| self.state(state));
        Some(match state {
            Some(State::Waiting(site)) => head(None, Stage::Unstarted, site),
            // It has been moved since.
            Some(State::Started(block)) => match fibers.with_stack(block) {
                Some(fiber) => self.started(fibers, fiber),
                None => Node::limit("fiber", "its stack is not among those of this thread"),
            },
            Some(State::Over) => head(None, Stage::Over, None),
            None => Node::limit("fiber", "what it is doing could not be read"),
        })
    }

    /// What is known of a future without its type: the fibers that it is or holds.
    pub(crate) fn untyped(&mut self, name: &str, address: u64, size: u64, limit: Arc<str>) -> Node {
        let fibers = self.fibers;
        let found = fibers.map(|fibers| (fibers, self.owned(fibers, address, size)));
        let mut nodes = Vec::new();
        if let Some((fibers, found)) = found {
            nodes.extend(found.iter().map(|fiber| self.started(fibers, fiber)));
        }
        if nodes.len() == 1 && bare::unwrapped(name).starts_with(FIBER) {
            return nodes.remove(0);
        }
        let mut node = Node::limit(bare::future(name), limit);
        node.children = nodes;
        node
    }

    /// The fibers that a piece of memory owns, and not only owned once.
    fn owned<'b>(&self, fibers: &'b Fibers, address: u64, size: u64) -> Vec<&'b FiberSight> {
        let mut found: Vec<_> = fibers.within(address, size).iter().collect();
        found.retain(|fiber| {
            let word = self.read(fiber.owner as u64, 8);
            word.is_some_and(|word| little(&word) == fiber.block as u128)
        });
        found
    }

    /// What the future says that a fiber is.
    fn state(&mut self, state: Place<'_>) -> Option<State> {
        let of = self.catalog.get(state.key)?;
        let Shape::Enum(variants) = &of.shape else {
            return None;
        };
        let variant = variants.of_value(tag(variants.tag, state.bytes)?)?.of;
        let variant = self.catalog.get(variant)?;
        match variant.short_name() {
            "Waiting" => {
                let birth = variant.member("__0")?.clone();
                let birth = self.part(&birth, state)?;
                let origin = self.catalog.get(birth.key)?.member("origin")?.clone();
                let origin = self.part(&origin, birth)?;
                Some(State::Waiting(self.location(origin)))
            }
            "Started" => {
                let core = variant.member("__0")?;
                let (offset, _) = first_pointer(self.catalog, core.of, 4)?;
                let block = number(state.bytes, core.offset + offset, 8)?;
                Some(State::Started(u64::try_from(block).ok()?))
            }
            "Over" => Some(State::Over),
            _ => None,
        }
    }

    /// What a `&Location` says.
    fn location(&mut self, place: Place<'_>) -> Option<Site> {
        let Shape::Pointer(_, key) = self.catalog.get(place.key)?.shape else {
            return None;
        };
        let at = u64::try_from(number(place.bytes, 0, 8)?).ok()?;
        let of = self.catalog.get(key)?;
        let bytes = self.read(at, of.size)?;
        let line = of.member("line")?;
        let line = u64::try_from(number(&bytes, line.offset, 4)?).ok()?;
        let file = of.member("filename").or_else(|| of.member("file"))?.clone();
        let [data, length] = ["data_ptr", "length"].map(|name| self.offset(file.of, name, 4));
        let word = |at| u64::try_from(number(&bytes, file.offset + at, 8)?).ok();
        let length = word(length?).filter(|length| *length < 4096)?;
        let file = String::from_utf8(self.read(word(data?)?, length)?).ok()?;
        Some(Site {
            file: file.into(),
            line,
        })
    }

    /// Where a member is in a struct, or in those that it is made of.
    fn offset(&mut self, key: TypeKey, name: &str, depth: u32) -> Option<u64> {
        let of = self.catalog.get(key)?;
        let depth = depth.checked_sub(1)?;
        of.members().iter().find_map(|member| {
            if &*member.name == name {
                return Some(member.offset);
            }
            Some(member.offset + self.offset(member.of, name, depth)?)
        })
    }

    /// A fiber with its calls, and below the last of them what it waits for.
    fn started(&mut self, fibers: &Fibers, fiber: &FiberSight) -> Node {
        let (stage, registers, awaited) = match &fiber.activity {
            FiberActivity::Running => (Stage::Running, fibers.here, None),
            FiberActivity::Waiting(registers, awaited) => {
                (Stage::Waiting, Some(*registers), *awaited)
            }
            FiberActivity::Idle => (Stage::Waiting, None, None),
        };
        let mut node = head(fiber.name.as_deref(), stage, Some(site(fiber.origin)));
        // A fiber that waits is of this moment, whatever resumed it last.
        let before = (self.stale, self.running);
        (self.stale, self.running) = (false, false);
        if let Some(awaited) = awaited.filter(|_| !self.exhausted()) {
            self.depth -= 1;
            self.awaited(awaited, &mut node.children);
            self.depth += 1;
        }
        (self.stale, self.running) = before;
        if let Some(registers) = registers {
            let own = wide(&fiber.stack);
            let (catalog, memory) = (&mut *self.catalog, self.memory);
            let trace = catalog.unwind(memory, &fibers.stacks, &own, registers);
            self.stack(&trace, stage, &mut node.children);
        }
        node
    }

    fn awaited(&mut self, awaited: AwaitedSight, out: &mut Vec<Node>) {
        let (data, vtable) = (awaited.address as u64, awaited.vtable as u64);
        let key = self.catalog.vtable(vtable.wrapping_sub(self.bias));
        let note = key.first().and_then(|key| self.note(*key));
        if let Some(note) = note {
            return self.trait_object(&note, data, vtable, true, out);
        }
        // The second word of a vtable is the size.
        let size = self.read(vtable.wrapping_add(8), 8);
        let size = size.and_then(|size| u64::try_from(little(&size)).ok());
        let node = self.untyped(
            awaited.type_name,
            data,
            size.unwrap_or(0),
            "its state is not known".into(),
        );
        out.push(node);
    }

    /// Puts calls above what the last of them waits for.
    fn stack(&mut self, trace: &Trace, mut stage: Stage, below: &mut Vec<Node>) {
        let calls = trace.calls.iter();
        let calls: Vec<_> = calls.map(|call| self.catalog.calls_at(*call)).collect();
        let mut calls: Vec<&Call> = calls.iter().flat_map(|calls| calls.iter()).collect();
        if stage == Stage::Running {
            calls.drain(..looking(&calls));
        }
        for call in calls {
            let mut node = call.node(stage);
            node.children = std::mem::take(below);
            below.push(node);
            stage = Stage::Called;
        }
        if let Some(limit) = trace.limit {
            let mut node = Node::limit("further calls", limit);
            node.children = std::mem::take(below);
            below.push(node);
        }
    }
}

/// The calls of a thread of this process, the last one first, from these registers on. `memory` has what is on its stacks, which are
/// at these addresses: that of a fiber that runs, perhaps, and that of the thread.
///
/// The tables that say where callers are, and names and lines, are read as for a [`dump`](crate::dump). Where the calls cannot be
/// followed any further, the last node says why.
#[must_use]
pub fn calls(memory: &(dyn Memory + Sync), stacks: &[Range<u64>], start: Registers) -> Vec<Node> {
    let told = with_program(|catalog| {
        let stacks = Stacks::new(stacks.to_vec());
        let trace = catalog.unwind(memory, &stacks, &(0..0), start);
        let mut nodes = Vec::new();
        for address in trace.calls {
            for call in catalog.calls_at(address).iter() {
                let is_last = nodes.is_empty();
                nodes.push(call.node(if is_last {
                    Stage::Running
                } else {
                    Stage::Called
                }));
            }
        }
        nodes.extend(trace.limit.map(|limit| Node::limit("further calls", limit)));
        nodes
    });
    told.unwrap_or_else(|missing| vec![Node::limit("calls", missing.to_string())])
}

impl Call {
    fn node(&self, stage: Stage) -> Node {
        let mut node = Node::new(Standing::Call(stage), Arc::clone(&self.name));
        node.site.clone_from(&self.site);
        node.limit.clone_from(&self.limit);
        node
    }
}

/// How many calls are those of whoever looks, which is called by what is looked at.
fn looking(calls: &[&Call]) -> usize {
    let begins = |call: &&Call, with: &[&str]| with.iter().any(|with| call.name.starts_with(with));
    let looks = |call: &&Call| begins(call, &["camshaft_inspect::", "camshaft::inspect::"]);
    let user = calls.iter().position(|call| {
        let between = begins(
            call,
            &["core::", "<core::", "std::", "alloc::", "camshaft::"],
        );
        !looks(call) && !between
    });
    let first = &calls[..user.unwrap_or(calls.len())];
    first.iter().rposition(looks).map_or(0, |last| last + 1)
}
