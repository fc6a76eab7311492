use std::num::NonZeroUsize;

use sidegate_bundle::{GateBundle, gate::Forward};
use sidegate_runtime::follow::Newest;
use socket2::SockRef;

use super::*;
use crate::{builders::quickstart, gate::Vitals};

struct Accepting {
    address: SocketAddr,
    stop: CancellationToken,
    queues: Vec<mpsc::UnboundedReceiver<Accepted>>,
    index: Newest<Index>,
    counters: Arc<Counters>,
}

fn accepting(workers: usize, limit: usize, per_source: usize) -> Accepting {
    let limits = Limits { connections: limit, connections_per_source: per_source, ..Limits::default() };
    let listener = listen("127.0.0.1:0".parse().unwrap(), &limits).unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let workers = Workers::start(NonZeroUsize::new(workers).unwrap()).unwrap();
    let (senders, queues) = (0..workers.count()).map(|_| mpsc::unbounded_channel()).unzip();
    let index = Newest::new();
    let counters = Arc::<Counters>::default();
    let acceptor = Acceptor {
        listener,
        places: Places::new(limits.connections),
        limits,
        workers,
        queues: senders,
        index: index.reader(),
        counters: Arc::clone(&counters),
        part: Vitals::default().part("the acceptor"),
    };
    acceptor.start(stop.clone()).unwrap();
    Accepting { address, stop, queues, index, counters }
}

#[test]
fn each_worker_gets_its_share_and_the_peers_are_known() {
    let Accepting { address, queues, .. } = accepting(3, 100, 100);
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
    let Accepting { address, mut queues, .. } = accepting(1, 2, 100);
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
    let Accepting { address, stop, mut queues, .. } = accepting(2, 2, 100);
    stop.cancel();
    for queue in &mut queues {
        assert!(queue.blocking_recv().is_none());
    }
    assert!(TcpStream::connect(address).is_err());
    assert!(listen(address, &Limits::default()).is_ok());
}

#[test]
fn nobody_can_share_the_address() {
    let Accepting { address, .. } = accepting(1, 2, 100);
    let other = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    other.set_reuse_port(true).unwrap();
    other.set_reuse_address(true).unwrap();
    assert_eq!(other.bind(&address.into()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn one_source_gets_its_share_and_a_trusted_proxy_what_it_wants() {
    let Accepting { address, mut queues, index, counters, .. } = accepting(1, 100, 2);
    let mut queue = queues.remove(0);
    let mut connect = || {
        let before = counters.refused_by_source.get();
        let caller = TcpStream::connect(address).unwrap();
        loop {
            match queue.try_recv() {
                Ok(accepted) => return Some((caller, accepted)),
                Err(_) if counters.refused_by_source.get() > before => return None,
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    };
    let mut held: Vec<_> = (0..2).map(|_| connect().unwrap()).collect();
    assert!(connect().is_none());
    held.pop();
    held.push(connect().unwrap());
    assert!(connect().is_none());
    let forward = Forward { trusted_proxies: vec!["127.0.0.0/8".to_owned()], ..Forward::default() };
    index.set(Arc::new(Index::new(&GateBundle { forward, ..quickstart() })));
    held.extend((0..4).map(|_| connect().unwrap()));
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_accepted_is_watched_by_the_kernel() {
    let Accepting { address, mut queues, .. } = accepting(1, 2, 100);
    let _caller = TcpStream::connect(address).unwrap();
    let accepted = queues.remove(0).blocking_recv().unwrap();
    let socket = SockRef::from(&accepted.stream);
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), ASKED_AFTER);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Limits::default().untaken));
    assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
}
