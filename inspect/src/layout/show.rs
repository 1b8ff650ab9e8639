//! A layout as a table and as JSON.

use std::fmt;

use super::{Doubled, Held, Layout, Role, StateLayout};
use crate::catalog::Precision;
use crate::json::{Json, ToJson};

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bytes", self.name, self.size)?;
        match &self.defined {
            Some(site) => writeln!(f, ", at {site}")?,
            None => writeln!(f)?,
        }
        for layout in &self.states {
            if matches!(layout.state.value, 1 | 2) {
                continue; // it is over: nothing is held, only places are kept
            }
            write!(f, "  {}", layout.state.name)?;
            if let Some(site) = &layout.state.site
                && layout.state.value > 2
            {
                write!(f, " at {site}{}", layout.state.precision)?;
            }
            writeln!(f, ": {} bytes used, {} not", layout.used, layout.unused)?;
            for held in &layout.holds {
                let role = match held.role {
                    Role::Captured => " (captured)",
                    Role::Awaited => " (awaited)",
                    Role::Local => "",
                };
                let Held {
                    size,
                    offset,
                    name,
                    type_name,
                    ..
                } = held;
                writeln!(f, "  {size:>8} at {offset:<6} {name}: {type_name}{role}")?;
            }
            for name in &layout.hidden {
                writeln!(f, "  another {name}, which the compiler does not describe")?;
            }
        }
        for Doubled {
            name,
            size,
            captured_at,
            kept_at,
            certain,
            ..
        } in &self.doubled
        {
            let perhaps = if *certain { "" } else { "perhaps " };
            writeln!(
                f,
                "  {perhaps}stored twice: {name}, {size} bytes, at {captured_at} and at {kept_at}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Precision {
    /// What is to be said after a line: nothing if it is the line of the await.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "",
            Self::Likely => " (most likely)",
            Self::MacroUse => " (in a macro)",
            Self::MacroDefinition => {
                " (in a macro, or passed to one; where that is used is not known)"
            }
        })
    }
}

impl ToJson for Layout {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("name", &*self.name);
            json.field("size", &self.size);
            json.field("align", &self.align);
            json.field("file", &self.defined.as_ref().map(|site| &*site.file));
            json.field("line", &self.defined.as_ref().map(|site| site.line));
            json.field("waste", &self.waste());
            json.field("padding", &(!self.has_hidden()).then(|| self.padding()));
            json.field("states", &self.states);
            json.field("doubled", &self.doubled);
        });
    }
}

impl ToJson for StateLayout {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            let site = self.state.site.as_ref();
            json.field("name", &*self.state.name);
            json.field(
                "value",
                &u64::try_from(self.state.value).unwrap_or(u64::MAX),
            );
            json.field("file", &site.map(|site| &*site.file));
            json.field("line", &site.map(|site| site.line));
            json.field("precision", &site.map(|_| self.state.precision.word()));
            json.field(
                "line_of_macro",
                &(self.state.precision == Precision::MacroDefinition),
            );
            json.field("used", &self.used);
            json.field("unused", &self.unused);
            json.field("holds", &self.holds);
            json.field("hidden", &self.hidden);
        });
    }
}

impl ToJson for Held {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("name", &*self.name);
            json.field("type", &*self.type_name);
            json.field("offset", &self.offset);
            json.field("size", &self.size);
            json.field(
                "role",
                match self.role {
                    Role::Captured => "captured",
                    Role::Local => "local",
                    Role::Awaited => "awaited",
                },
            );
        });
    }
}

impl ToJson for Doubled {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("name", &*self.name);
            json.field("type", &*self.type_name);
            json.field("size", &self.size);
            json.field("captured_at", &self.captured_at);
            json.field("kept_at", &self.kept_at);
            json.field("certain", &self.certain);
        });
    }
}
