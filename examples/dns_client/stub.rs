//! A server that takes its time.

use std::io;
use std::net::UdpSocket as StdSocket;
use std::rc::Rc;
use std::time::Duration;

use camshaft::net::UdpSocket;
use camshaft::time::sleep;

use crate::message::answer;

/// Answers each query after a while.
pub(crate) async fn stub(socket: StdSocket, delay: Duration) -> io::Result<()> {
    let socket = Rc::new(UdpSocket::from_std(socket)?);
    loop {
        let (received, query) = socket.recv_from(Vec::with_capacity(512)).await;
        let (_, client) = received?;
        let socket = socket.clone();
        camshaft::spawn(async move {
            sleep(delay).await;
            if let Some(answer) = answer(query) {
                drop(socket.send_to(answer, client).await);
            }
        });
    }
}
