//! The program that is running: its catalog, and the types of its futures.
//!
//! The compiler describes the vtable of a type as that of the type, and where it is, but only one that a cast makes at run
//! time. So for each type that is asked about there is a cast to a trait of our own, and the address of its vtable names the
//! type in the catalog.

use std::any::TypeId;
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::types::TypeKey;
use crate::{Catalog, Layout, Missing};

/// What every type is cast to. Its method differs for each type, so that no two vtables are the same and folded into one.
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

static CATALOG: Mutex<Option<Result<Catalog, Missing>>> = Mutex::new(None);

/// Does something with the catalog of this program, which is made at the first call.
///
/// # Errors
///
/// The reason why the program's file could not be opened.
pub fn with_program<T>(work: impl FnOnce(&mut Catalog) -> T) -> Result<T, Missing> {
    let mut slot: MutexGuard<'_, _> = CATALOG.lock().unwrap_or_else(PoisonError::into_inner);
    let catalog = slot.get_or_insert_with(|| Catalog::open("/proc/self/exe"));
    match catalog {
        Ok(catalog) => {
            let result = work(catalog);
            catalog.rest();
            Ok(result)
        }
        Err(missing) => Err(missing.clone()),
    }
}

/// How far from where it was linked the program is loaded.
pub(crate) fn load_bias() -> u64 {
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

/// The type that an anchor names.
pub(crate) fn type_of(catalog: &mut Catalog, anchor: usize, size: usize) -> Option<TypeKey> {
    let address = (anchor as u64).wrapping_sub(load_bias());
    // Whatever the debug information says, a type of another size it is not.
    let found = catalog.vtable(address).first().copied()?;
    (catalog.get(found)?.size == size as u64).then_some(found)
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
