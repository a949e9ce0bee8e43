//! Where cleartext lies in a ciphertext file: pure arithmetic, no I/O, no crypto.
//!
//! A ciphertext file is a header followed by chunks. Each chunk holds up to 32,768 bytes of cleartext, its
//! *payload*, and an overhead of nonce and tag; only the last chunk may be shorter. Sizes are those of the vault
//! format, the same in every Cryptomator client.

use std::ops::Range;

use thiserror::Error;

/// Cleartext bytes in a full chunk.
pub const PAYLOAD_LEN: u64 = 32_768;

/// The longest cleartext whose offsets and lengths fit an `i64` on the ciphertext side, as host systems want.
pub const MAX_CLEARTEXT_LEN: u64 = 1 << 62;

/// The longest file that is written, 128 TiB: the nonces of its chunks are drawn at random, which is safe for 2³² of one
/// key.
pub const MAX_FILE_LEN: u64 = PAYLOAD_LEN << 32;

/// The number of a chunk in its file, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkIndex(pub u64);

impl ChunkIndex {
    /// The chunk after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The sizes that one cipher combo gives to header and chunks. All lengths are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    header: u64,
    nonce: u64,
    tag: u64,
}

/// A length that no whole ciphertext file has: the header is cut, or the last chunk is cut within its nonce or tag.
///
/// Half-synced and damaged files look like this. At least one byte of cleartext is missing, nobody knows how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a ciphertext file of {len} bytes is cut off; only its first {readable} bytes of cleartext can be whole"
)]
pub struct Torn {
    /// Length of the ciphertext file.
    pub len: u64,
    /// Cleartext bytes in the whole chunks before the cut.
    pub readable: u64,
}

impl Torn {
    /// The length to show for such a file: what is whole, and one byte for the tail that cannot be read.
    ///
    /// A program that reads to the end then meets an error where the data ends. With `readable` alone it would
    /// meet the end of the file and take a part for the whole.
    #[must_use]
    pub fn shown_len(self) -> u64 {
        self.readable + 1
    }
}

/// The part of one chunk that belongs to a range of cleartext. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The chunk.
    pub chunk: ChunkIndex,
    /// First byte within the chunk's payload.
    pub start: u64,
    /// One past the last byte within the chunk's payload, at most [`PAYLOAD_LEN`].
    pub end: u64,
}

impl Span {
    /// Bytes of cleartext in this span, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a span is never empty")]
    pub fn len(self) -> u64 {
        self.end - self.start
    }
}

impl Layout {
    /// AES-256-GCM: 68 bytes of header, 12 of nonce and 16 of tag in each chunk.
    pub const SIV_GCM: Self = Self { header: 68, nonce: 12, tag: 16 };
    /// AES-256-CTR with HMAC-SHA256: 88 bytes of header, 16 of nonce and 32 of MAC in each chunk.
    pub const SIV_CTRMAC: Self = Self { header: 88, nonce: 16, tag: 32 };

    /// Length of the file header.
    #[must_use]
    pub const fn header_len(self) -> u64 {
        self.header
    }

    /// Length of the nonce that begins each chunk.
    #[must_use]
    pub const fn nonce_len(self) -> u64 {
        self.nonce
    }

    /// Length of the tag or MAC that ends each chunk.
    #[must_use]
    pub const fn tag_len(self) -> u64 {
        self.tag
    }

    /// What a chunk is longer than its payload.
    #[must_use]
    pub const fn overhead(self) -> u64 {
        self.nonce + self.tag
    }

    /// Length of a full chunk.
    #[must_use]
    pub const fn chunk_len(self) -> u64 {
        PAYLOAD_LEN + self.overhead()
    }

    /// Returns the cleartext length of a file whose ciphertext is `len` bytes long.
    ///
    /// A file of no bytes at all is an empty file: some clients create files that way before they write the
    /// header, and cloud clients before they download them.
    ///
    /// # Errors
    ///
    /// [`Torn`] if no whole file has this length. A torn file is never reported as empty: a zero here would let a
    /// front end overwrite it.
    pub fn cleartext_len(self, len: u64) -> Result<u64, Torn> {
        if len == 0 {
            return Ok(0);
        }
        let body = len.checked_sub(self.header).ok_or(Torn { len, readable: 0 })?;
        let whole = body / self.chunk_len() * PAYLOAD_LEN;
        match body % self.chunk_len() {
            0 => Ok(whole),
            tail if tail >= self.overhead() => Ok(whole + (tail - self.overhead())),
            _ => Err(Torn { len, readable: whole }),
        }
    }

    /// Returns the ciphertext length of a file that holds `cleartext` bytes, at most [`MAX_CLEARTEXT_LEN`].
    ///
    /// This is the shortest form, which every writer should use; see [`Layout::stored_chunks`] for the other one.
    #[must_use]
    pub fn ciphertext_len(self, cleartext: u64) -> u64 {
        let tail = match cleartext % PAYLOAD_LEN {
            0 => 0,
            rest => rest + self.overhead(),
        };
        self.header + cleartext / PAYLOAD_LEN * self.chunk_len() + tail
    }

    /// Returns how many chunks a ciphertext of `len` bytes stores, a cut or empty last one included.
    ///
    /// Stream encryptors of recent official clients end every file with one more chunk, so a file whose length is a
    /// multiple of the payload ends in a chunk without payload. Such a chunk is counted here and adds nothing to
    /// [`Layout::cleartext_len`].
    #[must_use]
    pub fn stored_chunks(self, len: u64) -> u64 {
        len.saturating_sub(self.header).div_ceil(self.chunk_len())
    }

    /// Returns the chunk that holds the cleartext byte at `offset`.
    #[must_use]
    pub fn chunk_at(self, offset: u64) -> ChunkIndex {
        ChunkIndex(offset / PAYLOAD_LEN)
    }

    /// Returns where `chunk` begins in the ciphertext.
    #[must_use]
    pub fn chunk_offset(self, chunk: ChunkIndex) -> u64 {
        self.header + chunk.0 * self.chunk_len()
    }

    /// Returns the ciphertext bytes of the chunks `first..end` in a file of `len` bytes: empty where none is stored.
    #[must_use]
    pub fn ciphertext_range(self, first: ChunkIndex, end: ChunkIndex, len: u64) -> Range<u64> {
        let from = self.chunk_offset(first).min(len);
        from..self.chunk_offset(end).clamp(from, len)
    }

    /// Cuts the cleartext range `offset..offset + len` at the borders of the chunks.
    ///
    /// The spans tile the range in order; none is empty, none crosses a chunk.
    pub fn spans(self, offset: u64, len: u64) -> impl Iterator<Item = Span> + use<> {
        let end = offset.saturating_add(len);
        let mut at = offset;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let chunk = self.chunk_at(at);
                let base = chunk.0 * PAYLOAD_LEN;
                let span = Span { chunk, start: at - base, end: (end - base).min(PAYLOAD_LEN) };
                at = base + span.end;
                span
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAYOUTS: [Layout; 2] = [Layout::SIV_GCM, Layout::SIV_CTRMAC];

    fn layout() -> impl Strategy<Value = Layout> {
        prop::sample::select(LAYOUTS.to_vec())
    }

    /// Lengths near a multiple of `unit`, where every off-by-one lives, and now and then any length.
    fn near_multiples_of(unit: u64, base: u64) -> impl Strategy<Value = u64> {
        prop_oneof![
            9 => (0..2_000u64, -2..=2i64)
                .prop_map(move |(k, d)| (base + k * unit).saturating_add_signed(d)),
            1 => 0..MAX_CLEARTEXT_LEN,
        ]
    }

    fn cleartext_len() -> impl Strategy<Value = u64> {
        near_multiples_of(PAYLOAD_LEN, 0)
    }

    #[test]
    fn lengths_are_those_of_the_format() {
        let clear = [0, 1, 36, 32_767, 32_768, 32_769, 65_536];
        let gcm = [68, 97, 132, 32_863, 32_864, 32_893, 65_660];
        let ctrmac = [88, 137, 172, 32_903, 32_904, 32_953, 65_720];
        for i in 0..clear.len() {
            assert_eq!(Layout::SIV_GCM.ciphertext_len(clear[i]), gcm[i]);
            assert_eq!(Layout::SIV_CTRMAC.ciphertext_len(clear[i]), ctrmac[i]);
        }
    }

    #[test]
    fn a_file_of_no_bytes_is_empty_and_a_cut_header_is_torn() {
        for layout in LAYOUTS {
            assert_eq!(layout.cleartext_len(0), Ok(0));
            for len in 1..layout.header_len() {
                assert_eq!(layout.cleartext_len(len), Err(Torn { len, readable: 0 }));
            }
            assert_eq!(layout.cleartext_len(layout.header_len()), Ok(0));
        }
    }

    #[test]
    fn a_trailing_empty_chunk_adds_nothing() {
        for layout in LAYOUTS {
            for clear in [0, PAYLOAD_LEN, 2 * PAYLOAD_LEN] {
                let len = layout.ciphertext_len(clear) + layout.overhead();
                assert_eq!(layout.cleartext_len(len), Ok(clear));
                assert_eq!(layout.stored_chunks(len), clear / PAYLOAD_LEN + 1);
            }
        }
    }

    proptest! {
        #[test]
        fn lengths_round_trip(layout in layout(), clear in cleartext_len()) {
            prop_assert_eq!(layout.cleartext_len(layout.ciphertext_len(clear)), Ok(clear));
        }

        #[test]
        fn ciphertext_length_grows_strictly(layout in layout(), clear in cleartext_len()) {
            prop_assert!(layout.ciphertext_len(clear) < layout.ciphertext_len(clear + 1));
        }

        /// Each ciphertext length is torn, or empty, or belongs to one cleartext length, a trailing empty chunk apart.
        #[test]
        fn every_length_is_torn_or_belongs_to_one_cleartext(
            (layout, len) in layout().prop_flat_map(|l| (Just(l), near_multiples_of(l.chunk_len(), l.header_len())))
        ) {
            match layout.cleartext_len(len) {
                Ok(clear) => {
                    let shortest = layout.ciphertext_len(clear);
                    let trailing = clear % PAYLOAD_LEN == 0 && len == shortest + layout.overhead();
                    prop_assert!(len == shortest || trailing || len == 0);
                }
                Err(torn) => {
                    prop_assert_eq!(torn.len, len);
                    prop_assert_eq!(torn.readable % PAYLOAD_LEN, 0);
                    // No writer makes this length: it lies between those of `readable` and `readable + 1`.
                    prop_assert!(torn.shown_len() > torn.readable);
                    prop_assert!(len < layout.ciphertext_len(torn.readable + 1));
                    prop_assert!(len < layout.header_len() || len > layout.ciphertext_len(torn.readable));
                }
            }
        }

        #[test]
        fn spans_tile_the_range(layout in layout(), offset in cleartext_len(), len in 0..1_000_000u64) {
            let mut at = offset;
            for span in layout.spans(offset, len) {
                prop_assert!(span.start < span.end && span.end <= PAYLOAD_LEN);
                prop_assert_eq!(span.chunk, layout.chunk_at(at));
                prop_assert_eq!(span.chunk.0 * PAYLOAD_LEN + span.start, at);
                at += span.len();
            }
            prop_assert_eq!(at, offset + len);
        }

        #[test]
        fn the_ciphertext_ranges_of_all_chunks_tile_the_body(
            (layout, len) in layout().prop_flat_map(|l| (Just(l), near_multiples_of(l.chunk_len(), l.header_len())))
        ) {
            let len = len.min(40 * layout.chunk_len());
            let chunks = layout.stored_chunks(len);
            let mut at = layout.header_len().min(len);
            for index in (0..chunks).map(ChunkIndex) {
                let range = layout.ciphertext_range(index, index.next(), len);
                prop_assert_eq!(range.start, at);
                prop_assert!(!range.is_empty() && range.end - range.start <= layout.chunk_len());
                at = range.end;
            }
            prop_assert_eq!(at, len);
            prop_assert!(layout.ciphertext_range(ChunkIndex(chunks), ChunkIndex(chunks + 1), len).is_empty());
        }
    }
}
