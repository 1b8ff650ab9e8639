//! Writes JSON: objects, lists, texts and numbers, which is all that is needed here.

use std::fmt::Write as _;

/// JSON that is being written.
#[derive(Debug, Default)]
pub struct Json {
    text: String,
    /// Whether something stands before what comes next, in the object or list that is open.
    comma: bool,
}

/// What can be written as JSON.
pub trait ToJson {
    /// Writes itself as one value.
    fn write(&self, json: &mut Json);
}

impl Json {
    /// The text of a value.
    #[must_use]
    pub fn of<T: ToJson + ?Sized>(value: &T) -> String {
        let mut json = Self::default();
        value.write(&mut json);
        json.text
    }

    /// Writes an object, whose fields the closure writes.
    pub fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.open('{');
        fields(self);
        self.close('}');
    }

    /// Begins an object or a list, which is a field or an element itself.
    pub fn open(&mut self, bracket: char) {
        if self.comma {
            self.text.push(',');
        }
        self.text.push(bracket);
        self.comma = false;
    }

    /// Ends an object or a list.
    pub fn close(&mut self, bracket: char) {
        self.text.push(bracket);
        self.comma = true;
    }

    /// Writes a field of the object that is open.
    pub fn field<T: ToJson + ?Sized>(&mut self, name: &str, value: &T) {
        self.name(name);
        value.write(self);
        self.comma = true;
    }

    /// Writes the name of a field, whose value follows.
    pub fn name(&mut self, name: &str) {
        if self.comma {
            self.text.push(',');
        }
        self.string(name);
        self.text.push(':');
        self.comma = false;
    }

    /// The text of what was written and is not taken yet.
    pub(crate) fn text(&mut self) -> &mut String {
        &mut self.text
    }

    /// Writes a number, of which the text is given.
    pub(crate) fn number(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => {
                    self.text.push('\\');
                    self.text.push(character);
                }
                '\0'..='\x1f' => {
                    write!(self.text, "\\u{:04x}", u32::from(character))
                        .expect("a string takes all that is written");
                }
                _ => self.text.push(character),
            }
        }
        self.text.push('"');
    }
}

/// JSON that was written before.
#[derive(Debug)]
pub struct Raw<'a>(pub &'a str);

impl ToJson for Raw<'_> {
    fn write(&self, json: &mut Json) {
        json.text.push_str(self.0);
    }
}

impl ToJson for str {
    fn write(&self, json: &mut Json) {
        json.string(self);
    }
}

impl ToJson for std::sync::Arc<str> {
    fn write(&self, json: &mut Json) {
        json.string(self);
    }
}

impl ToJson for String {
    fn write(&self, json: &mut Json) {
        json.string(self);
    }
}

impl ToJson for u64 {
    fn write(&self, json: &mut Json) {
        json.text.push_str(&self.to_string());
    }
}

impl ToJson for bool {
    fn write(&self, json: &mut Json) {
        json.text.push_str(if *self { "true" } else { "false" });
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn write(&self, json: &mut Json) {
        T::write(self, json);
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write(&self, json: &mut Json) {
        match self {
            Some(value) => value.write(json),
            None => json.text.push_str("null"),
        }
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn write(&self, json: &mut Json) {
        json.open('[');
        for (index, value) in self.iter().enumerate() {
            if index > 0 {
                json.text.push(',');
            }
            json.comma = false;
            value.write(json);
        }
        json.close(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Point(u64);

    impl ToJson for Point {
        fn write(&self, json: &mut Json) {
            json.object(|json| {
                json.field("x", &self.0);
                json.field("name", "a \"b\"\n");
                json.field("none", &None::<u64>);
            });
        }
    }

    #[test]
    fn lists_and_objects_nest() {
        let text = Json::of(&vec![Point(1), Point(2)]);
        let one = |x| format!(r#"{{"x":{x},"name":"a \"b\"\u000a","none":null}}"#);
        assert_eq!(text, format!("[{},{}]", one(1), one(2)));
    }
}
