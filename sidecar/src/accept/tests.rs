use std::num::NonZeroUsize;

use super::*;

struct Accepting {
    address: SocketAddr,
    stop: CancellationToken,
    queues: Vec<mpsc::UnboundedReceiver<Accepted>>,
}

fn accepting(workers: usize, limit: usize) -> Accepting {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let workers = Workers::start(NonZeroUsize::new(workers).unwrap()).unwrap();
    let (senders, queues) = (0..workers.count()).map(|_| mpsc::unbounded_channel()).unzip();
    start(listener, limit, &workers, senders, stop.clone()).unwrap();
    Accepting { address, stop, queues }
}

#[test]
fn each_worker_gets_its_share_and_the_peers_are_known() {
    let Accepting { address, queues, .. } = accepting(3, 100);
    let callers: Vec<_> = (0..9).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut peers = Vec::new();
    let mut held = Vec::new();
    for mut queue in queues {
        for _ in 0..3 {
            let accepted = queue.blocking_recv().unwrap();
            assert!(accepted.stream.nodelay().unwrap());
            peers.push(accepted.peer);
            held.push(accepted);
        }
    }
    let mut expected: Vec<_> = callers.iter().map(|caller| caller.local_addr().unwrap()).collect();
    peers.sort();
    expected.sort();
    assert_eq!(peers, expected);
}

#[test]
fn past_the_limit_nobody_is_accepted_until_somebody_leaves() {
    let Accepting { address, mut queues, .. } = accepting(1, 2);
    let _callers: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut queue = queues.remove(0);
    let first = queue.blocking_recv().unwrap();
    let _second = queue.blocking_recv().unwrap();
    thread::sleep(Duration::from_millis(50));
    assert!(queue.try_recv().is_err());
    drop(first);
    assert!(queue.blocking_recv().is_some());
}

#[test]
fn when_it_stops_the_address_is_free_and_the_workers_are_told() {
    let Accepting { address, stop, mut queues } = accepting(2, 2);
    stop.cancel();
    for queue in &mut queues {
        assert!(queue.blocking_recv().is_none());
    }
    assert!(TcpStream::connect(address).is_err());
    assert!(listen(address).is_ok());
}

#[test]
fn nobody_can_share_the_address() {
    let Accepting { address, .. } = accepting(1, 2);
    let other = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    other.set_reuse_port(true).unwrap();
    other.set_reuse_address(true).unwrap();
    assert_eq!(other.bind(&address.into()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}
