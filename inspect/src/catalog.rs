//! What is known of a program: its types, the types of its vtables, and where its coroutines wait.
//!
//! A catalog answers with plain data. It is filled as it is asked: opening it makes an index of where things are, and a type is
//! read when somebody wants it.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::containers::Note;
use crate::hash::NameHash;
use crate::image::Image;
use crate::leaves::versions::{Package, packages};
use crate::load::Open;
use crate::memory::Memory;
use crate::names::Names;
use crate::quick::{Map, Set};
use crate::scan::Index;
use crate::stack::calls::{Call, Calls};
use crate::stack::registers::Registers;
use crate::stack::unwind::{Stacks, Trace, Unwinder};
use crate::types::{Shape, Site, Type, TypeKey};
use crate::{Layout, Missing, home, layout, sites, twins};

/// What is known of a program.
///
/// # Examples
///
/// Lists the largest state machines of any Rust program:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use camshaft_inspect::Catalog;
///
/// let mut catalog = Catalog::open("/proc/self/exe")?;
/// let mut layouts: Vec<_> = catalog.coroutines().into_iter().filter_map(|key| catalog.layout(key)).collect();
/// layouts.sort_by_key(|layout| std::cmp::Reverse(layout.size));
/// for layout in layouts.iter().take(3) {
///     println!("{layout}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct Catalog {
    index: Index,
    types: Map<TypeKey, Option<Arc<Type>>>,
    open: Map<u32, Open>,
    states: Map<TypeKey, Option<Arc<[State]>>>,
    packages: Option<Vec<Package>>,
    notes: Map<TypeKey, Option<Arc<Note>>>,
    interesting: Map<TypeKey, bool>,
    names: Names,
    unwinder: Unwinder,
    calls: Calls,
    /// How many arrays are being read that lie in each other.
    arrays: u32,
    /// What the rest refers to (MAPPED), so it is dropped last.
    image: Image,
}

/// Arrays within each other.
const ARRAYS: u32 = 64;

/// Where a coroutine stands while it waits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct State {
    /// The value of its tag in this state.
    pub value: u128,
    /// The name that the compiler gave it: `Unresumed`, `Returned`, `Panicked`, `Suspend0`, …
    pub name: Arc<str>,
    /// The struct of what it holds.
    pub of: TypeKey,
    /// The line of the await, if that is known.
    pub site: Option<Site>,
    /// How exact that line is.
    pub precision: Precision,
}

/// How exact the line of an await is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// The await stands on this line.
    Exact,
    /// The compiler names this line, but not enough to be sure that it is that of the await: between which lines the function is,
    /// or which of several awaits of one type this is.
    Likely,
    /// A macro is used on this line, which awaits.
    MacroUse,
    /// This line is outside of the function: a macro awaits there, or it was passed to the macro that wrote the function. Where that
    /// is used is not known.
    MacroDefinition,
}

impl Precision {
    /// The word for it in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Likely => "likely",
            Self::MacroUse => "macro_use",
            Self::MacroDefinition => "macro_definition",
        }
    }
}

impl Catalog {
    /// Where the compiler was started for the program itself.
    pub(crate) fn home(&self) -> Option<String> {
        home::of(self.image.main()?)
    }

    /// Opens a program, whatever its runtime, and indexes its debug information.
    ///
    /// It takes about 20 ms for a program of 17 MB. A program without debug information can be opened, and has no coroutines:
    /// [`missing`](Self::missing) says why.
    ///
    /// The files stay mapped as long as the catalog lives. Whoever writes to them meanwhile, or shortens them, may end this
    /// process; to replace them, as linkers do, is harmless. The kernel protects the program that runs, and the files beside
    /// that are read.
    ///
    /// # Errors
    ///
    /// [`Missing::Unreadable`] if the file cannot be read or is no 64-bit program for Linux.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Missing> {
        let mut image = Image::open(path.as_ref())?;
        let index = Index::of(&mut image);
        if index.coroutines.is_empty() && image.is_foreign() {
            image.missing = vec![Missing::NotRust];
        }
        let damage = image.damage.said(image.units.len());
        image.missing.extend(damage);
        if !index.has_types && image.missing.is_empty() {
            let units = image.units.is_empty();
            image.missing.push(if units {
                Missing::DebugInfo
            } else {
                Missing::Types
            });
        }
        Ok(Self {
            index,
            types: Map::default(),
            open: Map::default(),
            states: Map::default(),
            packages: None,
            notes: Map::default(),
            interesting: Map::default(),
            names: Names::default(),
            unwinder: Unwinder::default(),
            calls: Calls::default(),
            arrays: 0,
            image,
        })
    }

    /// What the files of the program do not tell.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.image.missing
    }

    /// All coroutines: the state machines of `async` functions, blocks and closures, each once, in no order. Several may have one
    /// name, as when two versions of a crate are in the program: their sizes or lines differ.
    #[must_use]
    pub fn coroutines(&self) -> Vec<TypeKey> {
        self.index.coroutines.clone()
    }

    /// A type.
    ///
    /// What is read stays in memory until [`rest`](Self::rest).
    pub fn get(&mut self, key: TypeKey) -> Option<Arc<Type>> {
        if let Some(known) = self.types.get(&key) {
            return known.clone();
        }
        self.types.insert(key, None); // an array of itself has no end
        let read = self.read(key).map(Arc::new);
        self.types.insert(key, read.clone());
        read
    }

    /// The states of a coroutine with their lines; none for other types.
    pub fn states(&mut self, key: TypeKey) -> Option<Arc<[State]>> {
        if let Some(known) = self.states.get(&key) {
            return known.clone();
        }
        let states = sites::states(self, key).map(Arc::from);
        self.states.insert(key, states.clone());
        states
    }

    /// What a coroutine holds in each state, and what that costs; none for other types.
    pub fn layout(&mut self, key: TypeKey) -> Option<Layout> {
        layout::layout(self, key)
    }

    /// The types whose vtable is at an address, as linked. More than one if the linker folded what is the same.
    #[must_use]
    pub fn vtable(&self, address: u64) -> Vec<TypeKey> {
        let list = &self.index.vtables;
        let first = list.partition_point(|(at, _)| *at < address);
        list[first..]
            .iter()
            .take_while(|(at, _)| *at == address)
            .map(|(_, key)| *key)
            .collect()
    }

    /// The function or object at an address, as linked, if the program has symbols.
    #[must_use]
    pub fn symbol(&self, address: u64) -> Option<String> {
        self.image.symbol(address)
    }

    /// The symbol of a coroutine's body, as the compiler wrote it for people. Where the name of the type says `{impl#0}`, it says
    /// which type the `impl` is of.
    pub fn body_symbol(&mut self, key: TypeKey) -> Option<String> {
        self.bodies(key).into_iter().find_map(|place| {
            let open = self.opened(place.unit)?;
            let at = gimli::UnitOffset(place.offset as usize);
            let entry = open.unit.entry(at).ok()?;
            let name = open.text(entry.attr_value(gimli::DW_AT_linkage_name)?)?;
            Some(format!("{:#}", rustc_demangle::demangle(&name)))
        })
    }

    /// The name of a type for people.
    pub(crate) fn label(&mut self, key: TypeKey, of: &Type) -> String {
        self.learn(key);
        self.names.label(&of.name)
    }

    /// The names of state machines for people, with what has been learnt of them by [`learn`](Self::learn).
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Learns of which type the `impl` is that a coroutine was written in, if there is one.
    pub fn learn(&mut self, key: TypeKey) {
        if let Some(of) = self.get(key)
            && self.names.wants(&of.name)
            && let Some(symbol) = self.body_symbol(key)
        {
            self.names.learn(&of.name, &symbol);
        }
    }

    /// Where the `poll` of a type is written: nowhere if it has none, and in several places if there are types of the same name that
    /// cannot be told apart, as in two versions of a crate.
    pub fn polls(&mut self, key: TypeKey) -> Vec<Site> {
        twins::polls(self, key)
    }

    /// Closes what was opened to answer; the index stays.
    pub fn rest(&mut self) {
        self.open = Map::default();
        self.unwinder.rest();
        self.calls.rest();
    }

    /// The calls on a stack of this process, by their addresses. Which files are loaded is looked up once until
    /// [`rest`](Self::rest).
    pub(crate) fn unwind(
        &mut self,
        memory: &dyn Memory,
        stacks: &Stacks,
        own: &Range<u64>,
        start: Registers,
    ) -> Trace {
        if !self.unwinder.refresh() {
            self.calls.clear();
        }
        self.unwinder.unwind(memory, stacks, own, start)
    }

    /// The calls at an address of this process, the last one first.
    pub(crate) fn calls_at(&mut self, address: u64) -> Arc<[Call]> {
        let module = self.unwinder.module(address);
        self.calls.at(&self.image, module, address)
    }

    /// Whether a type with the same name has a `poll`, for whatever it is generic over.
    pub(crate) fn is_family(&self, of: &Type) -> bool {
        let family = of.name.split('<').next().unwrap_or_default();
        let hash = NameHash::of(family);
        self.index.families.binary_search(&hash).is_ok()
    }

    pub(crate) fn note(&mut self, key: TypeKey) -> Option<Arc<Note>> {
        if let Some(known) = self.notes.get(&key) {
            return known.clone();
        }
        let note = Note::of(self, key).map(Arc::new);
        self.notes.insert(key, note.clone());
        note
    }

    /// Whether a future may be found in a value of a type, or behind its pointers.
    pub(crate) fn is_interesting(&mut self, key: TypeKey) -> bool {
        if let Some(known) = self.interesting.get(&key) {
            return *known;
        }
        // Types refer to each other in circles. If nothing is found from here, nothing is from whatever was seen either.
        let mut seen = Set::from_iter([key]);
        let mut left = vec![key];
        while let Some(next) = left.pop() {
            let found = match self.interesting.get(&next) {
                Some(known) => *known,
                None => {
                    let Some(note) = self.note(next) else {
                        continue;
                    };
                    left.extend(note.leads_to().into_iter().filter(|to| seen.insert(*to)));
                    note.is_future()
                }
            };
            if found {
                self.interesting.insert(key, true);
                return true;
            }
        }
        self.interesting
            .extend(seen.into_iter().map(|seen| (seen, false)));
        false
    }

    /// The bodies of a coroutine, in any unit.
    pub(crate) fn bodies(&mut self, key: TypeKey) -> Vec<TypeKey> {
        twins::bodies(self, key)
    }

    /// The crates that the program was made from, with their versions.
    pub(crate) fn packages(&mut self) -> &[Package] {
        let image = &self.image;
        self.packages.get_or_insert_with(|| packages(image))
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn opened(&mut self, number: u32) -> Option<&mut Open> {
        if !self.open.contains_key(&number) {
            let open = Open::new(&self.image, number).ok()?;
            self.open.insert(number, open);
        }
        self.open.get_mut(&number)
    }

    /// An open unit, with the image that its references lead to.
    pub(crate) fn open_in_image(&mut self, number: u32) -> Option<(&Image, &mut Open)> {
        self.opened(number)?;
        Some((&self.image, self.open.get_mut(&number)?))
    }

    fn read(&mut self, key: TypeKey) -> Option<Type> {
        self.opened(key.unit)?;
        let mut read = self
            .open
            .get_mut(&key.unit)?
            .read(&self.image, key.offset)?;
        if let Shape::Array(element, count) = read.shape {
            self.arrays += 1;
            let element = (self.arrays < ARRAYS).then(|| self.get(element)).flatten();
            self.arrays -= 1;
            let element = element?;
            read.size = element.size.saturating_mul(count);
            read.align = element.align;
            read.name = format!("[{}; {count}]", element.name).into();
        }
        Some(read)
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("coroutines", &self.index.coroutines.len())
            .field("vtables", &self.index.vtables.len())
            .field("missing", &self.image.missing)
            .finish_non_exhaustive()
    }
}

/// What an index has under a hash.
pub(crate) fn range(list: &[(u64, TypeKey)], hash: u64) -> Vec<TypeKey> {
    let first = list.partition_point(|(at, _)| *at < hash);
    list[first..]
        .iter()
        .take_while(|(at, _)| *at == hash)
        .map(|(_, key)| *key)
        .collect()
}
