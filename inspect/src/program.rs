//! The program that is running: its catalog, and the types of its futures.
//!
//! The compiler describes the vtable of a type as that of the type, and where it is, but only one that a cast makes at run
//! time. So for each type that is asked about there is a cast to a trait of our own, and the address of its vtable names the
//! type in the catalog.

use std::any::TypeId;
use std::hint::black_box;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::memory::OwnMemory;
use crate::stack::fibers::Fibers;
use crate::tree::{Node, Tree};
use crate::types::TypeKey;
use crate::walk::Walker;
use crate::{Catalog, Layout, Missing, home};

/// What every type is cast to. Its method differs for each type, so that no two vtables are the same and folded into one.
///
/// The executor and the fibers have a trait like this of their own. They are crates that know nothing of this one or of each other,
/// and any trait serves: the index takes the vtables of all. One place for ten lines would be a crate for all three to depend on.
trait Anchor {
    #[expect(dead_code, reason = "it makes vtables differ")]
    fn identity(&self) -> TypeId
    where
        Self: 'static;
}

impl<T> Anchor for T {
    fn identity(&self) -> TypeId
    where
        Self: 'static,
    {
        TypeId::of::<T>()
    }
}

/// The address of the vtable that names a type.
#[inline(never)]
pub(crate) fn anchor_of<T>(value: *const T) -> usize {
    let value: *const dyn Anchor = black_box(value);
    // SAFETY: a wide pointer to a trait object is two words: the data, and the vtable.
    let [_, vtable]: [usize; 2] = unsafe { std::mem::transmute(value) };
    vtable
}

/// The stack for a walk of the greatest depth, of which only what is used becomes memory.
const STACK: usize = 64 << 20;

/// The catalog of a process, once somebody has asked for it.
struct Own {
    process: u32,
    catalog: Mutex<Option<Catalog>>,
}

/// The catalog of this process. One that is forked from it begins anew: another thread may have held the lock in that moment,
/// and is not there to release it.
fn own() -> &'static Mutex<Option<Catalog>> {
    static OWN: AtomicPtr<Own> = AtomicPtr::new(std::ptr::null_mut());
    let process = std::process::id();
    loop {
        let known = OWN.load(Ordering::Acquire);
        // SAFETY: it is null, or what was leaked below, whole and for good.
        if let Some(own) = unsafe { known.as_ref() }
            && own.process == process
        {
            return &own.catalog;
        }
        let new = Box::leak(Box::new(Own {
            process,
            catalog: Mutex::new(None),
        }));
        // If another thread was quicker, a few bytes are lost.
        let _ = OWN.compare_exchange(known, new, Ordering::Release, Ordering::Relaxed);
    }
}

/// Does something with the catalog of this program, which is made at the first call.
///
/// It is done on a thread of its own, with a stack that is large enough for any walk: the caller may be a fiber. There is one
/// catalog, and it is locked meanwhile: whatever else looks at this program waits. So `work` must not look itself, by a dump or
/// by [`tree_of`]: it would wait for ever.
///
/// # Errors
///
/// The reason why the program's file could not be opened, or a thread could not be had.
pub fn with_program<T: Send>(work: impl FnOnce(&mut Catalog) -> T + Send) -> Result<T, Missing> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("inspect".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || {
                let mut slot = own().lock().unwrap_or_else(PoisonError::into_inner);
                let catalog = match &mut *slot {
                    Some(catalog) => catalog,
                    // An error is not kept: descriptors that are exhausted now may be there the next time.
                    empty => {
                        let catalog = empty.insert(Catalog::open("/proc/self/exe")?);
                        catalog.home().into_iter().for_each(home::found);
                        catalog
                    }
                };
                let result = work(catalog);
                catalog.rest();
                Ok(result)
            })
            .map_err(|error| Missing::Unreadable(format!("no thread to look from: {error}")))?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// How far from where it was linked this program is loaded, as [`Walker::new`] wants it.
#[must_use]
pub fn load_bias() -> u64 {
    extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _: libc::size_t,
        bias: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: the linker passes a valid record.
        let address = unsafe { (*info).dlpi_addr };
        // SAFETY: it is the variable below, which outlives the call.
        unsafe { bias.cast::<u64>().write(address) };
        1 // the program itself comes first
    }
    let mut bias = 0u64;
    // SAFETY: the callback takes what is passed here.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut bias).cast()) };
    bias
}

/// What `CLOCK_MONOTONIC` shows: the clock of `std::time::Instant`.
#[must_use]
pub fn monotonic() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it is given room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// What `CLOCK_MONOTONIC` shows at an instant, to the nanosecond: the later of two instants has the later reading.
#[must_use]
pub fn reading(at: Instant) -> Duration {
    static KNOWN: OnceLock<(Instant, Duration)> = OnceLock::new();
    let (known, reading) = *KNOWN.get_or_init(|| {
        let (before, known, after) = (monotonic(), Instant::now(), monotonic());
        // Between the readings the thread may have slept. What the instant says of itself is exact, if it can be understood.
        let told = told(&format!("{known:?}")).filter(|told| (before..=after).contains(told));
        (known, told.unwrap_or(before))
    });
    match at.checked_duration_since(known) {
        Some(since) => reading.saturating_add(since),
        None => reading.saturating_sub(known.duration_since(at)),
    }
}

/// The numbers in `Instant { tv_sec: 1, tv_nsec: 2 }`.
fn told(text: &str) -> Option<Duration> {
    let number = |name| {
        let (_, rest) = text.split_once(name)?;
        let end = rest.find(|digit: char| !digit.is_ascii_digit())?;
        rest[..end].parse().ok()
    };
    let nanos = Duration::from_nanos(number("tv_nsec: ")?);
    Duration::from_secs(number("tv_sec: ")?).checked_add(nanos)
}

/// The type that an anchor names.
pub(crate) fn type_of(catalog: &mut Catalog, anchor: usize, size: usize) -> Option<TypeKey> {
    let address = (anchor as u64).wrapping_sub(load_bias());
    // Whatever the debug information says, a type of another size it is not.
    let found = catalog.vtable(address).first().copied()?;
    (catalog.get(found)?.size == size as u64).then_some(found)
}

/// What a future waits for.
///
/// It is looked at and not polled. Without debug information the tree has the name of its type, and says what is missing.
///
/// # Examples
///
/// ```
/// use std::pin::pin;
/// use std::task::{Context, Waker};
///
/// async fn outer() {
///     inner().await;
/// }
///
/// async fn inner() {
///     std::future::pending::<()>().await;
/// }
///
/// let mut future = pin!(outer());
/// let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
/// println!("{}", camshaft_inspect::tree_of(&*future));
/// ```
pub fn tree_of<F>(future: &F) -> Tree {
    tree_at(future, None, reading(Instant::now()))
}

/// What a future waits for, as [`tree_of`], on a thread with these fibers, if that is known. `now` is what the clock shows that its sleeps go by, as a reading of
/// `CLOCK_MONOTONIC`.
pub fn tree_at<F>(future: &F, fibers: Option<Fibers>, now: Duration) -> Tree {
    let anchor = anchor_of(future);
    let address = std::ptr::from_ref(future).addr() as u64;
    let root = with_program(|catalog| {
        let Some(key) = type_of(catalog, anchor, size_of::<F>()) else {
            let name = std::any::type_name::<F>();
            let limit = unknown(catalog, name).to_string().into();
            return Walker::new(catalog, &OwnMemory, load_bias())
                .here(now)
                .fibers(fibers.as_ref())
                .unknown(name, address, size_of::<F>() as u64, limit);
        };
        Walker::new(catalog, &OwnMemory, load_bias())
            .here(now)
            .fibers(fibers.as_ref())
            .walk(key, address)
    });
    let root =
        root.unwrap_or_else(|missing| Node::limit(std::any::type_name::<F>(), missing.to_string()));
    Tree { root }
}

/// What a future of type `F` holds in each of its states, and what that costs.
///
/// # Errors
///
/// What is missing: mostly the debug information of the program, and then the setting that gives it.
///
/// # Examples
///
/// ```
/// async fn pause() {
///     let buffer = [0u8; 4096];
///     std::future::ready(()).await;
///     drop(buffer);
/// }
///
/// match camshaft_inspect::layout_of_val(&pause()) {
///     Ok(layout) => println!("{layout}"),
///     Err(missing) => println!("{missing}"), // such as the setting that gives debug information
/// }
/// ```
pub fn layout_of<F>() -> Result<Layout, Missing> {
    let anchor = anchor_of(std::ptr::null::<F>());
    with_program(|catalog| {
        type_of(catalog, anchor, size_of::<F>())
            .and_then(|key| catalog.layout(key))
            .ok_or_else(|| unknown(catalog, std::any::type_name::<F>()))
    })?
}

/// What a future holds in each of its states, as [`layout_of`].
///
/// # Errors
///
/// As [`layout_of`].
pub fn layout_of_val<F>(_: &F) -> Result<Layout, Missing> {
    layout_of::<F>()
}

pub(crate) fn unknown(catalog: &Catalog, name: &str) -> Missing {
    catalog
        .missing()
        .first()
        .cloned()
        .unwrap_or_else(|| Missing::Type(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_says_its_reading() {
        let now = Instant::now();
        let text = format!("{now:?}");
        assert!(told(&text).is_some(), "{text} is not as it was");
        assert_eq!(told(&text), Some(reading(now)));
        assert_eq!(told("Instant { t: 1.5 }"), None);
        let before = monotonic();
        let between = reading(Instant::now());
        assert!((before..=monotonic()).contains(&between));
        let hour = Duration::from_secs(3600);
        assert_eq!(reading(now + hour) - reading(now), hour);
    }
}
