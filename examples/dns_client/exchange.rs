//! How a query gets its answer, and who waits for it.

use std::io;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::time::Duration;

use camshaft::fiber;
use camshaft::net::UdpSocket;
use camshaft::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What sends a query and waits for the answer.
pub(crate) trait Exchange {
    fn exchange(&self, query: Vec<u8>) -> io::Result<Vec<u8>>;
}

/// The thread waits.
impl Exchange for StdSocket {
    fn exchange(&self, query: Vec<u8>) -> io::Result<Vec<u8>> {
        self.send(&query)?;
        let mut answer = vec![0; 512];
        let len = self.recv(&mut answer)?;
        answer.truncate(len);
        Ok(answer)
    }
}

/// The fiber waits.
impl Exchange for UdpSocket {
    fn exchange(&self, query: Vec<u8>) -> io::Result<Vec<u8>> {
        fiber::wait(exchange(self, query))
    }
}

/// The task waits.
pub(crate) async fn exchange(socket: &UdpSocket, query: Vec<u8>) -> io::Result<Vec<u8>> {
    socket.send(query).await.0?;
    let (received, answer) = timeout(PATIENCE, socket.recv(Vec::with_capacity(512))).await?;
    received?;
    Ok(answer)
}

/// A socket for one server.
pub(crate) async fn connected(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    Ok(socket)
}
