//! A program that is looked at: its state machines with their names, or a clear reason why there are none.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use camshaft_inspect::{Catalog, Layout, Missing, Site};

use camshaft_inspect::names::{Kind, Names};

/// What a program is made of.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// In the order of their names.
    pub(crate) functions: Vec<Function>,
    pub(crate) names: Names,
}

/// The state machine of an `async` function, block or closure.
pub(crate) struct Function {
    /// The path, for people.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether it is written in the workspace, and not in a dependency.
    pub(crate) own: bool,
    pub(crate) layout: Layout,
}

impl Program {
    /// Reads all state machines of a program. What is only partly missing is said on standard error.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        check(path)?;
        let mut catalog = Catalog::open(path).map_err(|missing| match missing {
            // It begins with the path.
            Missing::Unreadable(why) => anyhow::anyhow!(why),
            missing => anyhow::anyhow!("{}: {missing}", path.display()),
        })?;
        let mut layouts = Vec::new();
        for key in catalog.coroutines() {
            let Some(layout) = catalog.layout(key) else {
                continue; // declared here, and described nowhere
            };
            catalog.learn(key);
            layouts.push(layout);
        }
        if layouts.is_empty() {
            bail!("{}: {}", path.display(), nothing(catalog.missing()));
        }
        for missing in catalog.missing() {
            eprintln!("warning: {}: {missing}", path.display());
        }
        let names = catalog.names().clone();
        let mut functions: Vec<_> = layouts
            .into_iter()
            .map(|layout| Function {
                name: names.path(&layout.name),
                kind: Kind::of(&layout.name),
                own: layout.defined.as_ref().is_none_or(is_own),
                layout,
            })
            .collect();
        // Two versions of a crate have functions of the same names.
        functions.sort_by(|a, b| {
            let by = |one: &Function| (one.layout.defined.clone(), one.layout.size);
            let names = (&a.name, &a.layout.name).cmp(&(&b.name, &b.layout.name));
            names.then_with(|| by(a).cmp(&by(b)))
        });
        Ok(Self {
            path: path.to_owned(),
            functions,
            names,
        })
    }
}

impl Function {
    /// The crate that it is written in.
    pub(crate) fn package(&self) -> &str {
        self.layout.name.split("::").next().unwrap_or_default()
    }

    pub(crate) fn place(&self) -> String {
        self.layout.defined.as_ref().map_or_else(String::new, place)
    }
}

/// A line in the form in which it can be opened from here.
pub(crate) fn place(site: &Site) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let file = Path::new(site.short_file());
    let file = file.strip_prefix(here).unwrap_or(file);
    format!("{}:{}", file.display(), site.line)
}

fn is_own(site: &Site) -> bool {
    let elsewhere = ["/registry/src/", "/git/checkouts/", "/vendor/"];
    !site.file.starts_with("/rustc/") && !elsewhere.iter().any(|part| site.file.contains(part))
}

/// Says of a file that cannot be a program what it is instead.
fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    // Before it is opened: that would wait for somebody to write into a pipe.
    let data = fs::metadata(path).with_context(|| format!("cannot open {shown}"))?;
    if data.is_dir() {
        bail!("{shown} is a directory; name the program in it, such as target/debug/app");
    }
    if !data.is_file() {
        bail!("{shown} is no file that can be mapped; name a program");
    }
    let mut file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let mut start = [0; 8];
    let read = file
        .read(&mut start)
        .with_context(|| format!("cannot read {shown}"))?;
    let is = match &start[..read] {
        [0x7f, b'E', b'L', b'F', ..] => return Ok(()),
        [] => "it is empty",
        [b'#', b'!', ..] => "it is a script; name the program that it starts",
        b"!<arch>\n" => "it is an archive; name the program that was linked from it",
        [b'M', b'Z', ..] => "it is a program for Windows; name one for Linux",
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => "it is a program for macOS; name one for Linux",
        _ => "it does not begin as one",
    };
    bail!("{shown} is no ELF file: {is}");
}

/// What to do about debug information that is not there.
const ADVICE: &str = "

    [profile.release]    # or dev, or that of your own
    debug = \"full\"
    strip = false

or for one build: CARGO_PROFILE_RELEASE_DEBUG=full cargo build --release";

/// Why there is nothing to be seen.
fn nothing(missing: &[Missing]) -> String {
    match missing.first() {
        Some(missing @ (Missing::DebugInfo | Missing::Types | Missing::Stripped)) => {
            format!("{missing}{ADVICE}")
        }
        Some(missing) => missing.to_string(),
        // Other languages may have described their types.
        None => format!(
            "no `async` function, block or closure is described: there is none, or the program was built with less than \
             `debug = \"full\"`{ADVICE}"
        ),
    }
}
