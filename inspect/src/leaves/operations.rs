//! Operations of this runtime: their names, what they are about, and how much they ask for.
//!
//! An operation owns what its request says, and keeps it, whichever of the backends carries it out: so what is told here is
//! the same on each of them. The names of fields are those of the crate `camshaft-io`.

use std::borrow::Cow;
use std::os::fd::RawFd;
use std::time::Duration;

use super::sockets;
use super::view::View;
use crate::leaf::{Cause, Leaf};
use crate::walk::{Place, Walker};

/// How the names of what belongs to this runtime's I/O begin.
const CRATE: &str = "camshaft_io::";

/// The offset that means the position of the descriptor, or that it has none; and the end of the file.
const NO_OFFSET: u64 = u64::MAX - 1;

/// What is asked of a buffer: how much room it has, or how many bytes.
#[derive(Clone, Copy)]
enum Side {
    Room,
    Bytes,
}

/// The future of an operation: its data, and whether the driver has it.
pub(super) fn operation(walker: &mut Walker<'_>, op: &View<'_>) -> Option<Leaf> {
    let data = walker.get(op, "operation")?;
    let data = walker.some(&data)?;
    let flight = walker.get(op, "flight")?;
    let begun = walker.some(&flight).is_some();
    let mut leaf = of_data(walker, &data)?;
    if leaf.fd.is_none() {
        leaf.fd = descriptor(walker, &data);
    }
    leaf.in_line = !begun && is_in_line(walker, &data);
    if walker.own {
        sockets::describe(&mut leaf);
    }
    Some(leaf)
}

/// What an operation's own fields say.
fn of_data(walker: &mut Walker<'_>, data: &View<'_>) -> Option<Leaf> {
    let path = walker.path_of(data)?;
    let op = |op: &'static str| Leaf::named(Cause::Operation, op);
    let flag = |walker: &mut Walker<'_>, name| walker.count(data, name) == Some(1);
    let mut leaf = match path.strip_prefix(CRATE)? {
        "stream::receive::memory::Receive" => {
            let goal = walker.get(data, "goal")?;
            let peeks = walker
                .which(&goal)
                .is_some_and(|(name, _)| &*name == "Peek");
            Leaf {
                bytes: asked(walker, data, "buf", Side::Room, &["start", "filled"]),
                ..op(if peeks { "recv (peek)" } else { "recv" })
            }
        }
        "stream::receive::to_end::ReceiveToEnd" | "stream::receive::lent::ReceiveLent" => {
            op("recv")
        }
        "stream::receive::vectored::ReceiveVectored" | "stream::rights::ReceiveRights" => {
            op("recvmsg")
        }
        "stream::send::SendBuf" => Leaf {
            bytes: asked(walker, data, "buf", Side::Bytes, &["sent"]),
            ..op("send")
        },
        "stream::send::SendVectored" | "stream::rights::SendRights" => op("sendmsg"),
        "net::datagram::receive::Receive" => Leaf {
            bytes: asked(walker, data, "buf", Side::Room, &[]),
            ..op("recvmsg")
        },
        "net::datagram::send::Send" if flag(walker, "waiting") => Leaf {
            note: Some("to send again".into()),
            ..op("poll")
        },
        "net::datagram::send::Send" => datagram(walker, data, "send", &[]),
        "net::udp::segments::SendSegments" => datagram(walker, data, "sendmsg", &["sent"]),
        "net::listen::Accept" if flag(walker, "pausing") => Leaf {
            note: Some("before the next accept".into()),
            ..op("pause")
        },
        "net::listen::Accept" => op("accept"),
        "net::connect::Connect" => Leaf {
            peer: connects_to(walker, data),
            ..op("connect")
        },
        "net::ready::Ready" => {
            let direction = walker.get(data, "turn.direction")?;
            let (direction, _) = walker.which(&direction)?;
            Leaf {
                note: Some(match &*direction {
                    "Read" => "to be readable".into(),
                    _ => "to be writable".into(),
                }),
                ..op("poll")
            }
        }
        "pipe::read::Read" => Leaf {
            bytes: asked(walker, data, "buf", Side::Room, &["start", "filled"]),
            ..op("read")
        },
        "pipe::write::Write" => Leaf {
            bytes: asked(walker, data, "data.__0", Side::Bytes, &["written"]),
            ..op("write")
        },
        "pause::Pause" => pause(walker, data)?,
        "readiness::Wait" => waits(walker, data),
        path => return of_file(walker, data, path),
    };
    if leaf.bytes == Some(0) {
        leaf.bytes = None;
    }
    Some(leaf)
}

/// Operations on files and their names.
fn of_file(walker: &mut Walker<'_>, data: &View<'_>, path: &str) -> Option<Leaf> {
    let op = |op: &'static str| Leaf::named(Cause::Operation, op);
    Some(match path {
        "fs::open::Open" => Leaf {
            path: name(walker, data, "path"),
            ..op("openat")
        },
        "fs::metadata::Status" => Leaf {
            path: name(walker, data, "path"),
            ..op("statx")
        },
        "fs::path::Change" => {
            let what = walker.get(data, "what")?;
            let (what, holds) = walker.which(&what)?;
            let directory = walker.count(&holds, "directory") == Some(1);
            Leaf {
                path: name(walker, data, "first"),
                target: name(walker, data, "second"),
                ..op(match &*what {
                    "Rename" => "renameat2",
                    "Remove" if directory => "rmdir",
                    "Remove" => "unlink",
                    "MakeDir" => "mkdirat",
                    "SymbolicLink" => "symlinkat",
                    "HardLink" => "linkat",
                    _ => return None,
                })
            }
        }
        "fs::change::Change" => {
            let what = walker.get(data, "what")?;
            let (what, holds) = walker.which(&what)?;
            let data_only = walker.count(&holds, "data_only") == Some(1);
            Leaf {
                bytes: walker.count(&holds, "len"),
                offset: walker.count(&holds, "offset"),
                ..op(match &*what {
                    "Sync" if data_only => "fdatasync",
                    "Sync" => "fsync",
                    "Truncate" => "ftruncate",
                    "Allocate" => "fallocate",
                    _ => return None,
                })
            }
        }
        "fs::raw::RangeCopy" => {
            let sink = walker.get(data, "sink");
            let sink = sink.and_then(|sink| descriptor(walker, &sink));
            Leaf {
                target: sink.filter(|_| walker.own).and_then(sockets::path_of),
                ..op("copy_file_range")
            }
        }
        "fs::transfer::Transfer" => transfer(walker, data)?,
        _ => return None,
    })
}

/// A transfer of a file: which way, from where, and how much is left of it.
fn transfer(walker: &mut Walker<'_>, data: &View<'_>) -> Option<Leaf> {
    let payload = walker.get(data, "payload")?;
    let path = walker.path_of(&payload)?;
    let (op, bytes) = match path.rsplit("::").next()? {
        "Room" => (
            "read",
            asked(walker, &payload, "buf", Side::Room, &["start", "filled"]),
        ),
        "Growing" => ("read", None),
        "Rooms" => ("readv", None),
        "Bytes" => (
            "write",
            asked(walker, &payload, "buf", Side::Bytes, &["sent"]),
        ),
        "Pieces" => ("writev", None),
        _ => return None,
    };
    let moved = walker.count(data, "moved").unwrap_or(0);
    let offset = walker.get(data, "offset");
    let offset = offset.and_then(|offset| walker.some(&offset));
    let offset = offset.and_then(|offset| walker.plain(offset));
    Some(Leaf {
        bytes,
        offset: offset
            .map(|offset| offset.saturating_add(moved))
            .filter(|offset| *offset < NO_OFFSET),
        ..Leaf::named(Cause::Operation, op)
    })
}

/// A send of a message, which may name whom it is for.
fn datagram(walker: &mut Walker<'_>, data: &View<'_>, op: &'static str, done: &[&str]) -> Leaf {
    let message = walker.get(data, "message");
    let message = message.and_then(|message| match walker.which(&message) {
        Some(_) => walker.some(&message),
        None => Some(message),
    });
    let header = message.and_then(|message| walker.get(&message, "*"));
    let peer = header.and_then(|header| {
        let length = walker.count(&header, "header.msg_namelen")?;
        let name = walker.get(&header, "name")?;
        sockets::readable(name.bytes().get(..usize::try_from(length).ok()?)?)
    });
    Leaf {
        bytes: asked(walker, data, "buf", Side::Bytes, done),
        op: Some(if peer.is_some() {
            "sendmsg".into()
        } else {
            op.into()
        }),
        peer,
        ..Leaf::new(Cause::Operation)
    }
}

/// The address that a connection is made to.
fn connects_to(walker: &mut Walker<'_>, data: &View<'_>) -> Option<String> {
    let address = walker.get(data, "address.*")?;
    let length = usize::try_from(walker.count(&address, "len")?).ok()?;
    let storage = walker.get(&address, "storage")?;
    sockets::readable(storage.bytes().get(..length)?)
}

fn pause(walker: &mut Walker<'_>, data: &View<'_>) -> Option<Leaf> {
    let span = walker.get(data, "span.*")?;
    let seconds = walker.count(&span, "seconds")?;
    let nanoseconds = u32::try_from(walker.count(&span, "nanoseconds")?).ok()?;
    let span = Duration::new(seconds, nanoseconds);
    Some(Leaf {
        span: Some(span),
        ..Leaf::named(Cause::Operation, "pause")
    })
}

/// A wait for readiness, of whatever kind of descriptor.
fn waits(walker: &mut Walker<'_>, data: &View<'_>) -> Leaf {
    let events = walker.count(data, "events").unwrap_or(0);
    let has = |event: i16| events & u64::from(event.cast_unsigned()) != 0;
    let owner = walker.get(data, "fd.*");
    let original = owner.and_then(|owner| walker.count(&owner, "original"));
    let note = match (has(libc::POLLIN), has(libc::POLLOUT)) {
        (true, true) => "to be readable or writable",
        (true, false) => "to be readable",
        (false, true) => "to be writable",
        (false, false) => "for an event",
    };
    Leaf {
        duplicate_of: original.and_then(|fd| RawFd::try_from(fd).ok()),
        note: Some(note.into()),
        ..Leaf::named(Cause::Operation, "poll")
    }
}

/// Streams that the kernel feeds by one operation that it repeats.
pub(super) fn flow(walker: &mut Walker<'_>, stream: &View<'_>, op: &'static str) -> Option<Leaf> {
    let socket = walker.get(stream, "flow.shared.*.socket.*")?;
    let mut leaf = Leaf {
        fd: descriptor(walker, &socket),
        note: Some("repeated".into()),
        ..Leaf::named(Cause::Operation, op)
    };
    if walker.own {
        sockets::describe(&mut leaf);
    }
    Some(leaf)
}

/// A job on another thread, that is named by the function that waits for it.
pub(super) fn offloaded(name: &str) -> Leaf {
    let what = match name {
        "resolve" => Cow::Borrowed("name look-up"),
        name => Cow::Owned(name.to_owned()),
    };
    Leaf {
        note: Some("on another thread".into()),
        ..Leaf::named(Cause::Blocking, what)
    }
}

/// Whether an operation waits until those before it are done.
fn is_in_line(walker: &mut Walker<'_>, data: &View<'_>) -> bool {
    let Some(turn) = walker.get(data, "turn") else {
        return false;
    };
    let place = match walker.which(&turn) {
        Some((name, _)) if &*name == "Some" => {
            let turn = walker.some(&turn);
            turn.and_then(|turn| walker.get(&turn, "place"))
        }
        _ => walker.get(&turn, "place"),
    };
    let place = place.and_then(|place| walker.which(&place));
    place.is_some_and(|(name, _)| &*name == "Waiting")
}

/// The descriptor that an operation is about: the first that its data owns or shares.
fn descriptor(walker: &mut Walker<'_>, data: &View<'_>) -> Option<RawFd> {
    let mut left = super::LOOKS;
    let place = Place {
        key: data.key,
        at: data.at,
        bytes: data.bytes(),
        way: crate::walk::Way::default(),
    };
    walker.descriptor(place, super::DEPTH, &mut left)
}

fn name(walker: &mut Walker<'_>, data: &View<'_>, field: &str) -> Option<String> {
    let path = walker.get(data, field)?;
    walker.text(&path).filter(|path| !path.is_empty())
}

/// How many bytes are still asked for, of a buffer of a kind that is known.
fn asked(
    walker: &mut Walker<'_>,
    data: &View<'_>,
    buf: &str,
    side: Side,
    done: &[&str],
) -> Option<u64> {
    let buf = walker.get(data, buf)?;
    let mut bytes = of_buffer(walker, &buf, side, done.contains(&"start"))?;
    for field in done {
        bytes = bytes.checked_sub(walker.count(data, field)?)?;
    }
    Some(bytes)
}

/// How many bytes a buffer has, or has room for: all of its room if `whole`, else what is behind its bytes.
fn of_buffer(walker: &mut Walker<'_>, buf: &View<'_>, side: Side, whole: bool) -> Option<u64> {
    let path = walker.path_of(buf)?;
    let grows = |walker: &mut Walker<'_>, length: &str, capacity: &str| {
        let length = walker.count(buf, length)?;
        match side {
            Side::Bytes => Some(length),
            Side::Room if whole => walker.count(buf, capacity),
            Side::Room => walker.count(buf, capacity)?.checked_sub(length),
        }
    };
    match &*path {
        "alloc::vec::Vec" => grows(walker, "len", "buf.inner.cap"),
        "alloc::string::String" => grows(walker, "vec.len", "vec.buf.inner.cap"),
        "bytes::bytes_mut::BytesMut" => grows(walker, "len", "cap"),
        "bytes::bytes::Bytes" | "camshaft_io::buf::aligned::AlignedBuf" => walker.count(buf, "len"),
        "alloc::boxed::Box" | "&[u8]" | "&str" => walker.count(buf, "length"),
        "camshaft_io::buf::slice::Slice" => {
            let (begin, end) = (walker.count(buf, "begin")?, walker.count(buf, "end")?);
            let inner = walker.get(buf, "buf")?;
            let end = match side {
                Side::Room => end,
                Side::Bytes => end.min(of_buffer(walker, &inner, side, whole)?),
            };
            end.checked_sub(begin)
        }
        path if path.starts_with('&') => walker.length_behind(buf),
        _ => None,
    }
}
