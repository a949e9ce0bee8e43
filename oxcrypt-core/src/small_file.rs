//! Ciphertext files so small that they are read and written whole: the targets of symbolic links, and the copies of
//! directory ids.

use zeroize::Zeroizing;

use crate::chunk::{ChunkIndex, Layout, PAYLOAD_LEN};
use crate::crypto::{CipherCombo, ContentCipher, FileHeader, MasterKey};
use crate::error::{Error, Result};

/// The longest ciphertext of a small file: header, a full chunk, and the empty one that some writers add.
pub(crate) fn max_len(layout: Layout) -> usize {
    usize::try_from(layout.header_len() + layout.chunk_len() + layout.overhead()).unwrap_or(usize::MAX)
}

/// Encrypts the whole content of a small file, at most one chunk: a header with a new key, and no chunk without content.
pub(crate) fn encrypt(clear: &[u8], combo: CipherCombo, key: &MasterKey) -> Vec<u8> {
    debug_assert!(clear.len() as u64 <= PAYLOAD_LEN, "a small file has one chunk");
    let layout = combo.layout();
    let header = FileHeader::generate(combo);
    let mut bytes = header.encrypt(key);
    if clear.is_empty() {
        return bytes;
    }
    let chunk_start = bytes.len();
    let payload_start = chunk_start + usize::try_from(layout.nonce_len()).unwrap_or_default();
    let len = usize::try_from(layout.ciphertext_len(clear.len() as u64)).unwrap_or_default();
    // No growing, which would leave cleartext behind.
    bytes.reserve_exact(len - bytes.len());
    bytes.resize(payload_start, 0);
    bytes.extend_from_slice(clear);
    bytes.resize(len, 0);
    ContentCipher::new(&header, key).encrypt_in_place(ChunkIndex(0), bytes.split_at_mut(chunk_start).1);
    bytes
}

/// Decrypts the whole content of a file of at most [`max_len`] bytes, in its own buffer.
pub(crate) fn decrypt(bytes: Vec<u8>, combo: CipherCombo, key: &MasterKey) -> Result<Zeroizing<Vec<u8>>> {
    // It becomes cleartext chunk by chunk, also where a later one is damaged.
    let mut bytes = Zeroizing::new(bytes);
    let layout = combo.layout();
    let len = layout.cleartext_len(bytes.len() as u64).map_err(|torn| Error::damaged(torn.to_string()))?;
    if len > PAYLOAD_LEN {
        return Err(Error::damaged("longer than any such file may be"));
    }
    let header_len = usize::try_from(layout.header_len()).unwrap_or(usize::MAX);
    let Some((header, chunks)) = bytes.split_at_mut_checked(header_len) else {
        return Err(Error::damaged("the file has no header"));
    };
    let header = FileHeader::decrypt(combo, key, header)
        .map_err(|_| Error::damaged("the header does not authenticate"))?;
    let cipher = ContentCipher::new(&header, key);
    let mut clear = Zeroizing::new(Vec::with_capacity(usize::try_from(len).unwrap_or_default()));
    let chunk_len = usize::try_from(layout.chunk_len()).unwrap_or(usize::MAX);
    for (index, chunk) in (0..).map(ChunkIndex).zip(chunks.chunks_mut(chunk_len)) {
        let payload = cipher
            .decrypt_in_place(index, chunk)
            .map_err(|_| Error::damaged(format!("chunk {} does not authenticate", index.0)))?;
        clear.extend_from_slice(payload);
    }
    Ok(clear)
}
