//! Many clients, of whom some may mean harm, and a bound on what they cost.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};

/// How many are served at a time.
const PLACES: usize = 16;

/// Errors in a row of a listener that will not listen again.
const PATIENCE: u32 = 100;

/// Accepts clients and serves them, until the listener is broken. Who comes when all places are taken gets that of who
/// has been there longest.
///
/// The clients share the task that this is part of: a client costs no task, and is gone with the listener.
pub(super) async fn attend<C, A, G>(accept: impl Fn() -> A, serve: impl Fn(C) -> G)
where
    A: Future<Output = io::Result<C>>,
    G: Future<Output = io::Result<()>>,
{
    let mut guests: VecDeque<Pin<Box<G>>> = VecDeque::new();
    let mut refusals = 0;
    while refusals < PATIENCE {
        let mut coming = pin!(accept());
        let come = poll_fn(|cx| {
            // What goes wrong with a client is the client's own trouble.
            guests.retain_mut(|guest| guest.as_mut().poll(cx).is_pending());
            coming.as_mut().poll(cx)
        });
        match come.await {
            Ok(client) => {
                refusals = 0;
                if guests.len() == PLACES {
                    guests.pop_front();
                }
                guests.push_back(Box::pin(serve(client)));
            }
            // The listener waits by itself before it tries again.
            Err(error) if is_shortage(&error) => {}
            Err(_) => {
                refusals += 1;
                camshaft_executor::yield_now().await;
            }
        }
    }
}

/// Whether the system has too little of something at the moment.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| shortages.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn who_hangs_gives_way_to_who_comes() {
        let coming = RefCell::new((0..40).collect::<VecDeque<u32>>());
        let present = Cell::new(0_usize);
        let most = Cell::new(0_usize);
        let served = RefCell::new(Vec::new());
        /// Counts who is there.
        struct Seat<'a>(&'a Cell<usize>);
        impl Drop for Seat<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        let accept = async || {
            camshaft_executor::yield_now().await;
            let next = coming.borrow_mut().pop_front();
            next.ok_or_else(|| io::ErrorKind::InvalidInput.into())
        };
        let serve = async |client: u32| {
            present.set(present.get() + 1);
            most.set(most.get().max(present.get()));
            let _seat = Seat(&present);
            if client % 10 == 9 {
                camshaft_executor::yield_now().await;
                served.borrow_mut().push(client);
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            std::future::pending().await
        };
        crate::block_on(attend(accept, serve));
        assert_eq!(*served.borrow(), [9, 19, 29, 39]);
        assert_eq!((most.get(), present.get()), (PLACES, 0));
    }
}
