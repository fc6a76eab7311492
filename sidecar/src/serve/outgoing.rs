//! An answer on its way out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::patience::Busy;
use crate::forward::{AnswerError, Body, BodyPiece};

/// While it is on its way, its connection waits for nobody.
#[derive(Debug)]
pub(super) struct Outgoing {
    body: Body,
    _busy: Busy,
}

// === impl Outgoing ===

impl Outgoing {
    pub(super) fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for Outgoing {
    type Data = BodyPiece;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<BodyPiece>, AnswerError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
