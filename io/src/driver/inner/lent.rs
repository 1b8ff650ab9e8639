//! The provided buffers of a driver: made when they are first asked for.

use std::rc::Rc;

use super::Inner;
use crate::driver::backend::Port;
use crate::driver::lend::{BufRing, Take};
use crate::driver::ring::Ring;

/// The provided buffers of a driver.
#[derive(Clone, Default)]
pub(in crate::driver) enum Lent {
    #[default]
    Untried,
    Open(Rc<BufRing>),
    Refused,
}

impl Inner {
    /// The ring of provided buffers, made at the first call. `None` where the kernel has none or refuses it.
    #[inline]
    pub(crate) fn lent(&self) -> Option<Rc<BufRing>> {
        let known = self.lent.borrow().clone();
        match known {
            Lent::Open(ring) => Some(ring),
            Lent::Untried if !self.closed.get() => self.open_lent(),
            Lent::Untried | Lent::Refused => None,
        }
    }

    #[cold]
    fn open_lent(&self) -> Option<Rc<BufRing>> {
        let ring = match &self.port {
            Port::Ring(kernel) if kernel.rung().has_519() => Self::register_lent(kernel),
            Port::Ring(_) => None,
            Port::Poller(poller) => {
                let ring = BufRing::new(Take::Piecewise).ok();
                poller.lend(ring.clone());
                ring
            }
            #[cfg(any(test, fuzzing))]
            Port::Fake(fake) => fake.open_lent(),
        };
        // A refusal is for good: trying again at each receive would cost more than the private buffers.
        let lent = ring.clone().map_or(Lent::Refused, Lent::Open);
        *self.lent.borrow_mut() = lent;
        ring
    }

    fn register_lent(kernel: &Ring) -> Option<Rc<BufRing>> {
        let register = |kernel: &Ring, take: Take| {
            let ring = BufRing::new(take).ok()?;
            // SAFETY: LENT-MEMORY: `lent` keeps the ring until it was unregistered in `drain`.
            let registered = unsafe {
                kernel.register_buffers(
                    ring.address(),
                    BufRing::entries(),
                    BufRing::GROUP,
                    take.register_flags(),
                )
            };
            registered.is_ok().then_some(ring)
        };
        let newer = kernel.rung().may_have_612();
        newer
            .then(|| register(kernel, Take::Piecewise))
            .flatten()
            .or_else(|| register(kernel, Take::Whole))
    }
}
