//! Names as numbers.

/// The hash of a full name, `a::b::{async_fn_env#0}<T>`; a body has that of its coroutine.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NameHash {
    state: u64,
    begun: bool,
}

impl NameHash {
    pub(crate) fn of(name: &str) -> u64 {
        let mut hash = Self::default();
        hash.whole(name.as_bytes());
        hash.finish()
    }

    pub(crate) fn segment(&mut self, name: &[u8]) {
        if self.begun {
            self.whole(b"::");
        }
        self.whole(name);
    }

    pub(crate) fn body(&mut self, name: &[u8]) {
        let number = name
            .iter()
            .position(|byte| *byte == b'#')
            .unwrap_or(name.len());
        self.segment(&name[..number]);
        self.whole(b"_env");
        self.whole(&name[number..]);
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: u64) {
        self.whole(&number.to_le_bytes());
    }

    /// FNV-1a: it is taken byte by byte, so the same name has the same hash however it was put together.
    pub(crate) fn whole(&mut self, bytes: &[u8]) {
        let mut state = self.state ^ if self.begun { 0 } else { 0xcbf2_9ce4_8422_2325 };
        for byte in bytes {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        *self = Self { state, begun: true };
    }

    pub(crate) fn finish(self) -> u64 {
        self.state
    }
}
