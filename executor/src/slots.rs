//! The slot allocator of one executor: size classes over chunks, a small cache in front of each.
//!
//! A steady spawn pops a cache and an ended task pushes it back: last in, first out, no bitmap touched. Caches trade with
//! the bitmaps of the chunks in small batches, lowest address first, so that long-lived tasks settle at the front and the
//! pages behind them can be given back to the kernel once a spike is over.
//!
//! Giving back waits for quiet: when the slots in use have stayed below half of the resident ones for a whole window, the
//! executor asks to be woken at the end of it ([`Slots::quiet_limit`]) and trims a bounded number of chunks at a time.
//!
//! Invariants: STABLE, ALIGNED, FREE BITS (see [`crate::chunk`]), ROOM (see [`crate::ring`]): the counter `taken` includes the
//! slots in the caches, and the ring has room for all of it before a slot is handed out.

use std::alloc::{Layout, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use crate::bundle::Bundle;
use crate::chunk::{CHUNK_BYTES, CLASSES, Chunk, SIZES, WORDS, chunk_of, narrow};
use crate::header::Header;
use crate::ring::Ring;

/// Slots in the cache of a class.
const CACHE: usize = 32;

/// Slots moved between a cache and the bitmaps at a time.
const BATCH: u32 = 16;

/// How long the use must stay low before memory is given back.
const WINDOW: Duration = Duration::from_millis(100);

/// Pause between two steps of giving back.
const STEP: Duration = Duration::from_millis(1);

/// Chunks trimmed in one step.
const STEP_CHUNKS: usize = 64;

/// Resident pages below which giving back is not worth a system call.
const WORTH_PAGES: usize = 64;

/// The first region of chunks that an executor maps, and the largest.
const FIRST_REGION: usize = 4 * CHUNK_BYTES;
const LARGEST_REGION: usize = 512 * CHUNK_BYTES;

struct Class {
    cached: Cell<usize>,
    cache: [Cell<*const Header>; CACHE],
    chunks: RefCell<Vec<NonNull<Chunk>>>,
    /// No chunk before this one has a free slot in its bitmap.
    hint: Cell<usize>,
}

/// The allocator. Touched only by the home thread.
pub(crate) struct Slots {
    classes: [Class; CLASSES],
    region: Cell<(usize, usize)>,
    next_region: Cell<usize>,
    page: usize,
    /// Slots, and their bytes, that are not in a bitmap.
    taken: Cell<usize>,
    taken_bytes: Cell<usize>,
    resident_pages: Cell<usize>,
    quiet: Quiet,
}

/// What decides when memory is given back.
struct Quiet {
    /// End of the current window, while there is something to give back.
    until: Cell<Option<Instant>>,
    /// The most bytes in use during the window.
    peak: Cell<usize>,
    /// What was resident and in use after the last time: trying again needs a change.
    resident: Cell<usize>,
    taken: Cell<usize>,
    /// Where the next step goes on: class and chunk.
    cursor: Cell<(usize, usize)>,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            classes: std::array::from_fn(|_| Class {
                cached: Cell::new(0),
                cache: [const { Cell::new(ptr::null()) }; CACHE],
                chunks: RefCell::new(Vec::new()),
                hint: Cell::new(0),
            }),
            region: Cell::new((0, 0)),
            next_region: Cell::new(FIRST_REGION),
            page: page_bytes(),
            taken: Cell::new(0),
            taken_bytes: Cell::new(0),
            resident_pages: Cell::new(0),
            quiet: Quiet {
                until: Cell::new(None),
                peak: Cell::new(0),
                resident: Cell::new(0),
                taken: Cell::new(0),
                cursor: Cell::new((0, 0)),
            },
        }
    }

    /// Hands out a free slot of `class`; its header is that of an ended task, or zero.
    #[inline]
    pub(crate) fn take(&self, class: usize, owner: &'static Bundle, ring: &Ring) -> *const Header {
        let shelf = &self.classes[class];
        if shelf.cached.get() == 0 {
            self.refill(class, owner, ring);
        }
        let cached = shelf.cached.get() - 1;
        shelf.cached.set(cached);
        shelf.cache[cached].get()
    }

    /// Takes a slot back.
    ///
    /// # Safety
    ///
    /// The slot came from this allocator and SLOT HELD allows it: nothing refers to it but stale wakers and stale ids.
    #[inline]
    pub(crate) unsafe fn give(&self, slot: *const Header) {
        // SAFETY: STABLE, ALIGNED.
        let class = unsafe { &*chunk_of(slot) }.class as usize;
        let shelf = &self.classes[class];
        if shelf.cached.get() == CACHE {
            self.flush(class, BATCH as usize);
        }
        let cached = shelf.cached.get();
        shelf.cache[cached].set(slot);
        shelf.cached.set(cached + 1);
    }

    /// Calls `each` for the slots that are not free, lowest first, while it says so. `each` may give slots back but must not
    /// take any.
    pub(crate) fn for_each(&self, mut each: impl FnMut(*const Header) -> bool) {
        for class in 0..CLASSES {
            self.flush(class, CACHE);
            for position in 0.. {
                let Some(chunk) = self.chunk(class, position) else {
                    break;
                };
                let used =
                    |index: u32| chunk.bitmap[index as usize / 64].get() & (1 << (index % 64)) == 0;
                for index in 0..chunk.slots {
                    if used(index) && !each(chunk.slot(index)) {
                        return;
                    }
                }
            }
        }
    }

    /// How long the executor may sleep before memory should be given back, if there is any to give.
    #[inline]
    pub(crate) fn quiet_limit(&self) -> Option<Duration> {
        if self.resident_pages.get() < WORTH_PAGES {
            None
        } else {
            self.quiet_limit_slow()
        }
    }

    /// Gives memory back if its time has come. Called when the executor was parked with a limit.
    pub(crate) fn quiet_tick(&self, ring: &Ring) {
        let Some(until) = self.quiet.until.get() else {
            return;
        };
        let now = Instant::now();
        if now < until {
            return;
        }
        if self.quiet.peak.get() * 2 > self.resident_bytes() {
            self.open_window(now);
        } else if self.trim_step(STEP_CHUNKS) {
            ring.shrink(self.taken.get());
            self.quiet.until.set(None);
        } else {
            self.quiet.until.set(Some(now + STEP));
        }
    }

    /// Gives back all that can be given. For an executor that is being closed.
    pub(crate) fn trim_all(&self, ring: &Ring) {
        if self.resident_pages.get() >= self.quiet.resident.get() + WORTH_PAGES {
            self.quiet.cursor.set((0, 0));
            let finished = self.trim_step(usize::MAX);
            debug_assert!(finished);
        }
        ring.shrink(self.taken.get());
        self.quiet.until.set(None);
    }

    fn resident_bytes(&self) -> usize {
        self.resident_pages.get() * self.page
    }

    #[cold]
    fn quiet_limit_slow(&self) -> Option<Duration> {
        let (resident, taken) = (self.resident_pages.get(), self.taken_bytes.get());
        let changed = resident >= self.quiet.resident.get() + WORTH_PAGES
            || taken * 2 < self.quiet.taken.get();
        if self.quiet.until.get().is_none() && (!changed || taken * 2 > self.resident_bytes()) {
            return None;
        }
        let now = Instant::now();
        if self.quiet.until.get().is_none() {
            self.open_window(now);
        }
        let until = self.quiet.until.get().unwrap_or(now);
        Some(until.saturating_duration_since(now))
    }

    fn open_window(&self, now: Instant) {
        self.quiet.until.set(Some(now + WINDOW));
        self.quiet.peak.set(self.taken_bytes.get());
        self.quiet.cursor.set((0, 0));
    }

    /// Trims up to `limit` chunks from where the last step stopped; true when all have been seen.
    fn trim_step(&self, limit: usize) -> bool {
        let (mut class, mut position) = self.quiet.cursor.get();
        for _ in 0..limit {
            if position == 0 {
                self.flush(class, CACHE);
            }
            if let Some(chunk) = self.chunk(class, position) {
                let pages = chunk.trim(self.page);
                self.resident_pages
                    .set(self.resident_pages.get() - pages as usize);
                position += 1;
                continue;
            }
            (class, position) = (class + 1, 0);
            if class == CLASSES {
                self.quiet.resident.set(self.resident_pages.get());
                self.quiet.taken.set(self.taken_bytes.get());
                return true;
            }
        }
        self.quiet.cursor.set((class, position));
        false
    }

    fn chunk(&self, class: usize, position: usize) -> Option<&'static Chunk> {
        let chunk = *self.classes[class].chunks.borrow().get(position)?;
        // SAFETY: STABLE: every chunk in the list was built, and stays.
        Some(unsafe { chunk.as_ref() })
    }

    /// Moves free slots from the bitmap of the first chunk that has some into the cache, lowest on top.
    #[cold]
    #[inline(never)]
    fn refill(&self, class: usize, owner: &'static Bundle, ring: &Ring) {
        let shelf = &self.classes[class];
        let chunk = loop {
            match self.chunk(class, shelf.hint.get()) {
                Some(chunk) if chunk.free.get() > 0 => break chunk,
                Some(_) => shelf.hint.set(shelf.hint.get() + 1),
                None => self.add_chunk(class, owner),
            }
        };
        let word = (0..WORDS)
            .find(|&word| chunk.bitmap[word].get() != 0)
            .expect("`free` counts the bits");
        let mut bits = chunk.bitmap[word].get();
        let count = bits.count_ones().min(BATCH);
        let first = narrow(word * 64) + bits.trailing_zeros();
        let mut last = first;
        for place in (0..count as usize).rev() {
            last = narrow(word * 64) + bits.trailing_zeros();
            shelf.cache[place].set(chunk.slot(last));
            bits &= bits - 1;
        }
        chunk.bitmap[word].set(bits);
        chunk.free.set(chunk.free.get() - count);
        shelf.cached.set(count as usize);
        self.resident_pages
            .set(self.resident_pages.get() + chunk.touch(first, last, self.page) as usize);
        self.taken.set(self.taken.get() + count as usize);
        self.taken_bytes
            .set(self.taken_bytes.get() + (count * SIZES[class]) as usize);
        self.quiet
            .peak
            .set(self.quiet.peak.get().max(self.taken_bytes.get()));
        ring.reserve(self.taken.get());
    }

    /// Moves the `count` slots that have been in the cache longest back to their bitmaps.
    #[cold]
    #[inline(never)]
    fn flush(&self, class: usize, count: usize) {
        let shelf = &self.classes[class];
        let cached = shelf.cached.get();
        let count = count.min(cached);
        for place in &shelf.cache[..count] {
            let slot = place.get();
            // SAFETY: STABLE, ALIGNED.
            let chunk = unsafe { &*chunk_of(slot) };
            let index = chunk.index_of(slot);
            let word = &chunk.bitmap[index as usize / 64];
            word.set(word.get() | 1 << (index % 64));
            chunk.free.set(chunk.free.get() + 1);
            shelf
                .hint
                .set(shelf.hint.get().min(chunk.position.get() as usize));
        }
        for place in count..cached {
            shelf.cache[place - count].set(shelf.cache[place].get());
        }
        shelf.cached.set(cached - count);
        self.taken.set(self.taken.get() - count);
        self.taken_bytes
            .set(self.taken_bytes.get() - count * SIZES[class] as usize);
    }

    fn add_chunk(&self, class: usize, owner: &'static Bundle) {
        let (next, end) = self.region.get();
        let (next, end) = if next == end {
            self.add_region()
        } else {
            (next, end)
        };
        self.region.set((next + CHUNK_BYTES, end));
        let mut chunks = self.classes[class].chunks.borrow_mut();
        let position =
            u32::try_from(chunks.len()).expect("fewer than 2^32 chunks fit into an address space");
        let memory =
            NonNull::new(ptr::with_exposed_provenance_mut(next)).expect("a mapping is not at zero");
        // SAFETY: the next part of a fresh anonymous mapping: zeroed, aligned, never unmapped, and given to nobody else.
        let chunk = unsafe { Chunk::build(memory, class, position, owner) };
        chunks.push(chunk);
    }

    /// Maps the next region of chunks and returns where it begins and ends.
    fn add_region(&self) -> (usize, usize) {
        let bytes = self.next_region.get();
        self.next_region.set((bytes * 2).min(LARGEST_REGION));
        let start = map(bytes + CHUNK_BYTES);
        let aligned = start.next_multiple_of(CHUNK_BYTES);
        unmap(start, aligned - start);
        unmap(aligned + bytes, start + CHUNK_BYTES - aligned);
        (aligned, aligned + bytes)
    }
}

/// Maps zeroed memory that may be reached through its plain address.
fn map(bytes: usize) -> usize {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a fresh mapping touches no existing memory.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            protection,
            flags | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if ptr::eq(start, libc::MAP_FAILED) {
        handle_alloc_error(
            Layout::from_size_align(bytes, CHUNK_BYTES).expect("a region is a valid layout"),
        );
    }
    // Huge pages would make the unused links resident and turn every trim into a copy; failure is harmless.
    // SAFETY: exactly the mapping just made.
    unsafe { libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE) };
    start.expose_provenance()
}

/// Gives the unaligned edge of a new mapping back.
fn unmap(start: usize, bytes: usize) {
    if bytes > 0 {
        // SAFETY: a part of a mapping just made, in which no chunk was built.
        unsafe { libc::munmap(ptr::with_exposed_provenance_mut(start), bytes) };
    }
}

fn page_bytes() -> usize {
    // SAFETY: reads a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(CHUNK_BYTES)
}
