//! The threads that serve: one single-threaded runtime a core.
//!
//! What belongs to a worker (connections, upstream pool, counters) never leaves its thread, so that
//! nothing in a request takes a lock or wakes another thread.

use std::{
    fmt,
    future::Future,
    io,
    num::NonZeroUsize,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    runtime::{self, LocalOptions},
    sync::mpsc,
    task,
};

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;
type Job = Box<dyn FnOnce() -> LocalFuture + Send>;

/// The worker threads; several Gates may share them. They end with the last handle.
#[derive(Clone)]
pub struct Workers {
    workers: Arc<[Worker]>,
}

struct Worker {
    jobs: mpsc::UnboundedSender<Job>,
    connections: Arc<AtomicUsize>,
}

/// One connection of a worker, counted while this lives.
#[derive(Debug)]
pub(crate) struct Load {
    connections: Arc<AtomicUsize>,
}

// === impl Workers ===

impl Workers {
    /// Starts so many threads.
    pub fn start(threads: NonZeroUsize) -> io::Result<Self> {
        (0..threads.get()).map(Worker::start).collect::<io::Result<_>>().map(|workers| Self { workers })
    }

    /// As many as this process may use at once.
    pub fn cores() -> NonZeroUsize {
        thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// Runs what `job` makes on worker `index`, beside what runs there already.
    pub(crate) fn spawn<F>(&self, index: usize, job: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let sent = self.workers[index].jobs.send(Box::new(|| Box::pin(job())));
        if sent.is_err() {
            tracing::error!(index, "a worker has ended");
        }
    }

    /// The worker with the fewest connections, and one connection more for it.
    pub(crate) fn least_loaded(&self) -> (usize, Load) {
        let (index, worker) = self
            .workers
            .iter()
            .enumerate()
            .min_by_key(|(_, worker)| worker.connections.load(Ordering::Relaxed))
            .unwrap_or((0, &self.workers[0]));
        worker.connections.fetch_add(1, Ordering::Relaxed);
        (index, Load { connections: Arc::clone(&worker.connections) })
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("count", &self.count()).finish()
    }
}

// === impl Worker ===

impl Worker {
    fn start(index: usize) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let (started, result) = std::sync::mpsc::sync_channel(1);
        thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            // A local runtime cannot change threads, so it is made where it stays.
            let runtime =
                runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let runtime = match runtime {
                Ok(runtime) => {
                    let _ = started.send(Ok(()));
                    runtime
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            runtime.block_on(async {
                while let Some(job) = queue.recv().await {
                    task::spawn_local(job());
                }
            });
        })?;
        result.recv().unwrap_or_else(|_| Err(io::Error::other("a worker thread panicked")))?;
        Ok(Self { jobs, connections: Arc::default() })
    }
}

// === impl Load ===

impl Drop for Load {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(count: usize) -> Workers {
        Workers::start(NonZeroUsize::new(count).unwrap()).unwrap()
    }

    #[test]
    fn connections_go_to_the_worker_that_has_the_fewest() {
        let workers = workers(3);
        let mut held: Vec<_> = (0..6).map(|_| workers.least_loaded()).collect();
        let mut counts = [0; 3];
        for (index, _) in &held {
            counts[*index] += 1;
        }
        assert_eq!(counts, [2, 2, 2]);
        held.retain(|(index, _)| *index != 1);
        assert_eq!(workers.least_loaded().0, 1);
    }

    #[test]
    fn a_job_runs_on_the_worker_that_it_is_given_to() {
        let workers = workers(2);
        for index in 0..2 {
            let (name, names) = std::sync::mpsc::channel();
            workers.spawn(index, move || async move {
                name.send(thread::current().name().map(str::to_owned)).unwrap();
            });
            assert_eq!(names.recv().unwrap(), Some(format!("worker-{index}")));
        }
    }
}
