//! Ciphertext files so small that they are read whole: the targets of symbolic links.

use zeroize::Zeroizing;

use crate::chunk::{ChunkIndex, Layout, PAYLOAD_LEN};
use crate::crypto::{CipherCombo, ContentCipher, FileHeader, MasterKey};
use crate::error::{Error, Result};

/// The longest ciphertext of a small file: header, a full chunk, and the empty one that some writers add.
pub(crate) fn max_len(layout: Layout) -> usize {
    usize::try_from(layout.header_len() + layout.chunk_len() + layout.overhead()).unwrap_or(usize::MAX)
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
