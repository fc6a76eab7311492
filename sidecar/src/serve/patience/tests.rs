use std::{future::poll_fn, io::Read, net::TcpListener, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::*;
use crate::accept::Places;
use crate::serve::{buffers::Buffers, line::Line};

/// hyper drops the body as soon as its last piece is in the buffer; that may be long before the
/// caller has taken it.
#[tokio::test]
async fn a_caller_that_takes_its_time_over_the_end_of_an_answer_is_not_idle() {
    let idle = Duration::from_millis(50);
    let patience = Patience::new(
        Limits { idle, ..Limits::default() },
        Buffers::new(0, std::sync::Arc::default()).loan(),
        Places::new(1),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut caller, _) = listener.accept().unwrap();
    let mut line = Line::new(stream, Rc::clone(&patience));
    let mut timer = Timer::new(Rc::clone(&patience));

    let busy = patience.busy();
    let piece = vec![b'x'; 1 << 16];
    while timeout(idle, line.write_all(&piece)).await.is_ok() {}
    drop(busy);
    assert!(timeout(4 * idle, poll_fn(|cx| timer.poll(cx))).await.is_err(), "it was given up");

    std::thread::spawn(move || while caller.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {});
    line.write_all(&piece).await.unwrap();
    line.flush().await.unwrap();
    timeout(10 * idle, poll_fn(|cx| timer.poll(cx))).await.expect("from then on it is idle");
}
