//! Echo servers without tasks, fibers or futures: what the rest of a server costs.

pub mod epoll;
pub mod ring;

/// What a bare server does with a message before it sends it back.
///
/// It is called with all that one receive has got. Closures implement it.
pub trait Work: FnMut(&[u8]) {}

impl<F: FnMut(&[u8])> Work for F {}

/// How a bare server treats its connections.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Room for what one receive gets.
    pub buffer: usize,
    /// The server closes a connection after its first reply.
    pub once: bool,
}
