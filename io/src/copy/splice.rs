//! Copies between sockets and pipes in which the kernel moves the bytes.
//!
//! ```text
//!     little came lately: receive into a lent buffer ── little ──> send it ──┐
//!          ^                     │ much                                      │
//!          └─────────────────────┼───────────────────────────────────────────┘
//!                                v
//!     splice, and again, until there is nothing ──> wait for readiness, if much came; else above
//! ```
//!
//! A splice is worth its system calls only if it moves much; a message of 64 bytes costs a third less when it is received and
//! sent. Waiting is an operation of the driver; splicing and sending are system calls that do not wait. A splice that waits
//! would pin a thread of the kernel for each idle connection.
//!
//! Invariants:
//!
//! - **IN-HAND**: bytes that were taken from the source and not given to the sink are in [`Move`]. Dropping it puts them
//!   back, so that nothing is lost whenever a copy ends.
//! - **LANES**: bytes are spliced from the source by who holds its reading lane, and given to the sink by who holds its writing
//!   lane. A wait takes the lane along, so that a lane of a dropped copy is free when nothing of it is in flight.

use std::io;
use std::mem;
use std::rc::Rc;

use super::ends::{End, Hold};
use super::patience::{Patience, held, would_wait};
use super::plumbing::{PORTION, Plumb, Pool, splice};
use crate::driver::BufGuard;
use crate::lane::Direction;
use crate::op::Op;
use crate::readiness::give_way;
use crate::stream::ReceiveLent;

/// What is received at once and is less than this is little.
const LITTLE: usize = 4 * 1024;
/// What comes between two waits and is no less than this is much.
const MUCH: usize = 32 * 1024;
/// Moves bytes until the end of the source, and counts them.
pub(super) async fn copy(source: End, sink: End, moved: &mut u64) -> io::Result<()> {
    source.prepare()?;
    sink.prepare()?;
    let mut moving = Move {
        source,
        sink,
        lent: BufGuard::private(Vec::new()),
        given: 0,
        plumb: None,
        pool: Pool::current(),
        patience: Patience::default(),
        round: 0,
        burst: 0,
        moved,
    };
    moving.run().await
}

/// A copy under way.
struct Move<'a> {
    source: End,
    sink: End,
    /// In hand: received, or taken from the stash; all but the first `given` bytes.
    lent: BufGuard,
    given: usize,
    /// In hand: in a pipe that was borrowed from the pool.
    plumb: Option<Plumb>,
    pool: Rc<Pool>,
    patience: Patience,
    /// Moved in this round, and since the last wait for the source.
    round: usize,
    burst: usize,
    moved: &'a mut u64,
}

/// What became of a round.
enum Round {
    Moved,
    /// Nothing yet, and not for want of bytes.
    Repeat,
    /// The source has nothing, as far as one can tell.
    Nothing,
    End,
}

impl Move<'_> {
    async fn run(&mut self) -> io::Result<()> {
        let mut much = false;
        loop {
            if let End::Stream(socket) = &self.source
                && !much
            {
                self.lent = Op::new(ReceiveLent::new(socket)).await?;
                let received = self.lent.len();
                if received == 0 {
                    return Ok(());
                }
                self.give_lent().await?;
                give_way(mem::take(&mut self.round)).await;
                if received < LITTLE {
                    self.burst = 0;
                    continue;
                }
            }
            let Some(hold) = self.splice().await? else {
                return Ok(());
            };
            much = mem::take(&mut self.burst) >= MUCH;
            self.patience
                .wait(hold, libc::POLLIN, much || self.source.is_pipe())
                .await?;
        }
    }

    /// Moves bytes until there is nothing to move; then the lane comes back. `None`: the source is at its end.
    async fn splice(&mut self) -> io::Result<Option<Hold>> {
        let needs_plumb = !self.source.is_pipe() && !self.sink.is_pipe();
        loop {
            let hold = held(self.source.turn(Direction::Read)).await;
            let round = if let Some(bytes) = self.source.take_stashed()? {
                self.lent = bytes;
                self.give_lent().await?;
                Round::Moved
            } else if needs_plumb {
                self.through_plumb().await?
            } else {
                self.at_once().await?
            };
            match round {
                Round::Moved => {
                    // Others may read now.
                    drop(hold);
                    give_way(mem::take(&mut self.round)).await;
                }
                Round::Repeat => {}
                Round::Nothing => {
                    self.return_plumb();
                    return Ok(Some(hold));
                }
                Round::End => return Ok(None),
            }
        }
    }

    /// Writes the bytes in hand that lie in a buffer.
    async fn give_lent(&mut self) -> io::Result<()> {
        let mut hold = held(self.sink.turn(Direction::Write)).await;
        while self.given < self.lent.len() {
            match self.sink.write_now(&self.lent[self.given..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.given += n;
                    self.count(n);
                }
                Err(error) => {
                    let waits = would_wait(&error)?;
                    hold = self.patience.wait(hold, libc::POLLOUT, waits).await?;
                }
            }
        }
        // An idle copy holds no buffer.
        self.lent = BufGuard::private(Vec::new());
        self.given = 0;
        Ok(())
    }

    /// Moves some bytes from one socket to another.
    async fn through_plumb(&mut self) -> io::Result<Round> {
        let plumb = match &mut self.plumb {
            Some(plumb) => plumb,
            empty => empty.insert(self.pool.take()?),
        };
        match plumb.fill(&self.source) {
            Ok(0) => return Ok(Round::End),
            Ok(_) => {}
            Err(error) if would_wait(&error)? => return Ok(Round::Nothing),
            Err(_) => return Ok(Round::Repeat),
        }
        let mut hold = held(self.sink.turn(Direction::Write)).await;
        while let Some(plumb) = self.plumb.as_mut().filter(|plumb| plumb.filled > 0) {
            match plumb.drain(&self.sink) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.count(n),
                Err(error) => {
                    let waits = would_wait(&error)?;
                    hold = self.patience.wait(hold, libc::POLLOUT, waits).await?;
                }
            }
        }
        Ok(Round::Moved)
    }

    /// Moves some bytes where one end is a pipe.
    async fn at_once(&mut self) -> io::Result<Round> {
        let hold = held(self.sink.turn(Direction::Write)).await;
        match splice(&self.source, &self.sink, PORTION) {
            Ok(0) => Ok(Round::End),
            Ok(n) => {
                self.count(n);
                Ok(Round::Moved)
            }
            Err(error) => {
                let waits = would_wait(&error)?;
                // First it is the source that is waited for, without the lane of the sink, which others may want meanwhile.
                if waits && self.patience.is_fresh() {
                    return Ok(Round::Nothing);
                }
                self.patience.wait(hold, libc::POLLOUT, waits).await?;
                Ok(Round::Repeat)
            }
        }
    }

    fn count(&mut self, n: usize) {
        *self.moved += n as u64;
        self.round += n;
        self.burst += n;
        self.patience = Patience::default();
    }

    fn return_plumb(&mut self) {
        if let Some(plumb) = self.plumb.take() {
            self.pool.put(plumb);
        }
    }
}

impl Drop for Move<'_> {
    fn drop(&mut self) {
        self.source.give_back(self.lent[self.given..].to_vec());
        if let Some(plumb) = &mut self.plumb {
            self.source.give_back(plumb.empty());
        }
        self.return_plumb();
    }
}
