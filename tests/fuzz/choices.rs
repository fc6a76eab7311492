//! Random bytes as a row of choices, and texts made by them from known ones.

/// Choices that are still to be made. When none is left, every choice is the first.
pub(crate) struct Choices<'a> {
    left: &'a [u8],
}

/// Edits of one text.
const MOST_EDITS: usize = 6;

// === impl Choices ===

impl<'a> Choices<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// The choices that are left, to be made by somebody else.
    pub(crate) fn rest(&mut self) -> Self {
        Self { left: std::mem::take(&mut self.left) }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.left.split_first() else { return 0 };
        self.left = rest;
        *first
    }

    /// A number below `end`, which is above 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let number = if end > 256 {
            usize::from(self.byte()) << 8 | usize::from(self.byte())
        } else {
            usize::from(self.byte())
        };
        number % end
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// One of the seeds, with some edits. Tokens are what the reader treats in a way of its own.
    pub(crate) fn bytes(&mut self, seeds: &[&[u8]], tokens: &[&[u8]]) -> Vec<u8> {
        let mut text = self.one(seeds).to_vec();
        for _ in 0..self.below(MOST_EDITS + 1) {
            let at = self.below(text.len() + 1);
            let length = self.below((text.len() - at).min(24) + 1);
            let new = match self.below(6) {
                0 => vec![self.byte()],
                1 => Vec::new(),
                2 => text[at..at + length].repeat(2),
                3 => {
                    let other = self.one(seeds);
                    let from = self.below(other.len() + 1);
                    other[from..].to_vec()
                }
                _ => self.one(tokens).to_vec(),
            };
            // As often put in as put in the place of something.
            let end = if self.below(2) == 0 { at } else { at + length };
            text.splice(at..end, new);
        }
        text
    }

    /// The same as text.
    pub(crate) fn text(&mut self, seeds: &[&str], tokens: &[&str]) -> String {
        let (seeds, tokens) = (to_bytes(seeds), to_bytes(tokens));
        String::from_utf8_lossy(&self.bytes(&seeds, &tokens)).into_owned()
    }
}

fn to_bytes<'t>(texts: &[&'t str]) -> Vec<&'t [u8]> {
    texts.iter().map(|text| text.as_bytes()).collect()
}
