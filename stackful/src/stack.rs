//! A stack, by its address and its size.
//!
//! Sizes are powers of two, so eight bytes say both: the address of a stack's end is a multiple of the page size, and the
//! low bits tell which power it is.

use std::num::NonZeroUsize;

/// The smallest stack, in bytes. A panic with its backtrace takes 24 KiB.
const SMALLEST: usize = 32 << 10;
/// How many sizes there are: the powers of two from 32 KiB to 1 GiB.
pub(crate) const CLASSES: usize = 16;

/// The size class for a stack of `bytes`, rounded up to a power of two; none if that is more than 1 GiB.
pub(crate) const fn class_of(bytes: usize) -> Option<u8> {
    let mut class = 0;
    while size_of_class(class) < bytes {
        class += 1;
        if class as usize == CLASSES {
            return None;
        }
    }
    Some(class)
}

/// The usable bytes of a stack.
pub(crate) const fn size_of_class(class: u8) -> usize {
    SMALLEST << class
}

/// A stack: whoever has it owns its memory.
#[derive(Debug)]
pub(crate) struct Stack {
    /// The address of its end, a multiple of the page size, plus its class.
    tagged: NonZeroUsize,
}

/// Bits of an address that a page leaves free.
const TAG: usize = 0xfff;

impl Stack {
    pub(crate) fn new(top: usize, class: u8) -> Self {
        debug_assert!(top & TAG == 0 && (class as usize) < CLASSES);
        let tagged = NonZeroUsize::new(top + class as usize);
        Self {
            tagged: tagged.expect("a stack does not end at address zero"),
        }
    }

    pub(crate) fn class(&self) -> u8 {
        // It was put there as a u8.
        (self.tagged.get() & TAG).to_le_bytes()[0]
    }

    /// The address of its end, where it begins to grow down.
    pub(crate) fn top(&self) -> usize {
        self.tagged.get() & !TAG
    }

    pub(crate) fn size(&self) -> usize {
        size_of_class(self.class())
    }

    /// The lowest address that may be used.
    pub(crate) fn limit(&self) -> usize {
        self.top() - self.size()
    }
}
