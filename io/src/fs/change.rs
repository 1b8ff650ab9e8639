//! Requests that change an open file as a whole.

use std::ffi::c_int;
use std::io;
use std::rc::Rc;

use super::handle::{Changing, Handle};
use crate::driver::{Completion, Request};
use crate::op::{Op, Operation, Step};

#[derive(Clone, Copy)]
pub(super) enum What {
    Sync { data_only: bool },
    Truncate { len: u64 },
    Allocate { mode: c_int, offset: u64, len: u64 },
}

/// One of them.
struct Change {
    handle: Rc<Handle>,
    what: What,
    changing: Option<Changing>,
}

pub(super) async fn change(handle: &Rc<Handle>, what: What) -> io::Result<()> {
    let change = Change {
        handle: handle.clone(),
        what,
        changing: None,
    };
    Op::new(change).await
}

// SAFETY: OWNED: the request points to no memory.
unsafe impl Operation for Change {
    type Output = io::Result<()>;

    fn request(&mut self) -> Request {
        let fd = self.handle.fd();
        self.changing = Some(self.handle.change());
        match self.what {
            What::Sync { data_only } => Request::Sync { fd, data_only },
            What::Truncate { len } => Request::Truncate { fd, len },
            What::Allocate { mode, offset, len } => Request::Allocate {
                fd,
                mode,
                offset,
                len,
            },
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.changing = None;
        match completion.value() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            result => Step::Done(result.map(drop)),
        }
    }

    fn inherit(self, _: Completion) {}
}
