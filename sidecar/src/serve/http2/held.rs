//! What one connection makes us hold, as far as it can be seen from outside the HTTP library.
//!
//! Of bodies it is what came less what the library has announced room for again. That is never less than
//! what it holds, but more by what it has not announced yet: up to a third of the connection's window,
//! and a frame that has come in part, which it can hand on only when the rest is read. So much of a
//! connection is not counted; else one that holds nothing could wait for itself. Of heads it is all that
//! has come of one that is not over, and what is large of those whose answer is waited for.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Waker,
};

use http::request::Parts;

use super::cut::{Cut, Head, Piece};
use crate::serve::buffers::Loan;

const WINDOW_UPDATE: u8 = 8;
/// The longest frame that callers may send: the library says nothing else than what is the default.
const FRAME: usize = 16 << 10;
/// So much of each request's head is not counted: many small ones together are no large one, and
/// whoever has them never waits for those who send much.
const SMALL: usize = 1 << 10;

/// What is held of one connection; all of it is lent by the worker.
#[derive(Debug)]
pub(super) struct Held {
    loan: Loan,
    /// What the library may not have announced of what it does not hold.
    unannounced: usize,
    /// Came and not announced again.
    bodies: Cell<usize>,
    /// How much of that is nobody's: it came before there was no request left.
    free: Cell<usize>,
    block: Cell<usize>,
    heads: Cell<usize>,
    requests: Cell<usize>,
    windows: RefCell<Windows>,
}

/// A request is under way while this lives.
#[derive(Debug)]
pub(super) struct Asked {
    held: Rc<Held>,
    head: Cell<usize>,
}

/// Follows what the library writes.
#[derive(Debug)]
struct Windows {
    cut: Cut,
    /// The increment of the connection's window, as far as it has come; `None`: another frame.
    increment: Option<(u32, usize)>,
    /// The first only makes the window what we want it to be.
    first: bool,
}

// === impl Held ===

impl Held {
    /// With so large a window for all bodies of the connection.
    pub(super) fn new(loan: Loan, window: u32) -> Rc<Self> {
        Rc::new(Self {
            loan,
            unannounced: window as usize / 3 + FRAME,
            bodies: Cell::default(),
            free: Cell::default(),
            block: Cell::default(),
            heads: Cell::default(),
            requests: Cell::default(),
            windows: RefCell::new(Windows::new()),
        })
    }

    /// May more be read? If not, `waker` is woken when it is worth asking again.
    pub(super) fn may_read(&self, waker: &Waker) -> bool {
        self.loan.may_read(waker)
    }

    /// So much came of bodies, and so much is there of a head that is not over.
    pub(super) fn came(&self, bodies: usize, block: usize) {
        if bodies > 0 || block != self.block.get() {
            self.bodies.set(self.bodies.get() + bodies);
            self.block.set(block);
            self.count();
        }
    }

    /// The library wrote this.
    pub(super) fn wrote(&self, bytes: &[u8]) {
        let announced = self.windows.borrow_mut().follow(bytes);
        if announced > 0 {
            self.bodies.set(self.bodies.get().saturating_sub(announced));
            self.free.set(self.free.get().saturating_sub(announced));
            self.count();
        }
    }

    /// There is a request with this head.
    pub(super) fn asked(self: &Rc<Self>, head: &Parts) -> Asked {
        let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let size = (fields.sum::<usize>() + target).saturating_sub(SMALL);
        self.requests.set(self.requests.get() + 1);
        self.heads.set(self.heads.get() + size);
        self.count();
        Asked { held: Rc::clone(self), head: Cell::new(size) }
    }

    fn count(&self) {
        let bodies = self.bodies.get().saturating_sub(self.free.get()).saturating_sub(self.unannounced);
        self.loan.hold(bodies + self.block.get() + self.heads.get());
    }
}

// === impl Asked ===

impl Asked {
    /// Its head is needed no longer.
    pub(super) fn answered(&self) {
        let heads = &self.held.heads;
        heads.set(heads.get() - self.head.take());
        self.held.count();
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let requests = &self.held.requests;
        requests.set(requests.get() - 1);
        if requests.get() == 0 {
            self.held.free.set(self.held.bodies.get());
        }
        self.answered();
    }
}

// === impl Windows ===

impl Windows {
    fn new() -> Self {
        Self { cut: Cut::behind(0), increment: None, first: true }
    }

    /// By how much the connection's window was opened again.
    fn follow(&mut self, mut bytes: &[u8]) -> usize {
        let mut announced = 0;
        while let Some(piece) = self.cut.next(&mut bytes) {
            match piece {
                Piece::Head(Head { kind, stream, .. }) => {
                    self.increment = (kind == WINDOW_UPDATE && stream == 0).then_some((0, 0));
                }
                Piece::Payload(bytes) => {
                    let Some((number, come)) = &mut self.increment else { continue };
                    *number = bytes.iter().fold(*number, |number, byte| number << 8 | u32::from(*byte));
                    *come += bytes.len();
                    if *come == 4 && !std::mem::take(&mut self.first) {
                        announced += *number as usize;
                    }
                }
            }
        }
        announced
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{builders::head, serve::Buffers};

    fn window(stream: u32, increment: u32) -> Vec<u8> {
        [&[0, 0, 4, 8, 0][..], &stream.to_be_bytes(), &increment.to_be_bytes()].concat()
    }

    #[test]
    fn what_came_is_held_until_there_is_room_for_it_again() {
        let buffers = Buffers::new(1 << 20, Arc::default());
        let held = Held::new(buffers.loan(), 3_000);
        let counts = |expected: usize| assert_eq!(held.loan.held(), expected);
        held.wrote(&window(0, 196_609));
        let target = format!("/{}", "p".repeat(SMALL));
        let first = held.asked(&head::<&str>("POST", &target, &[]));
        counts("/".len() + "hostapi".len());
        first.answered();
        held.came(50_000, 0);
        counts(49_000 - FRAME);
        for byte in [window(1, 20_000), window(0, 20_000)].concat() {
            held.wrote(&[byte]);
        }
        counts(29_000 - FRAME);
        held.came(0, 7);
        counts(29_007 - FRAME);
        held.came(0, 0);
        // The rest was nobody's any more, and is announced later.
        drop(first);
        counts(0);
        let second = held.asked(&head::<&str>("POST", "/", &[]));
        second.answered();
        held.came(20_000, 0);
        held.wrote(&window(0, 32_000));
        counts(17_000 - FRAME);
        drop(second);
        counts(0);
    }
}
