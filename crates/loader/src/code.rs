//! Machine code as it lies in files: with its key.

use weir_engine::ModuleDigest;

use crate::CodeKey;

/// The first bytes.
const MAGIC: &[u8; 8] = b"weircode";
/// Of the layout below. Another layout is other code: it is made again.
const LAYOUT: u32 = 1;

/// Machine code that an engine made of a module ahead of time.
///
/// Its bytes: the magic `weircode`, the layout's number (4 bytes), the engine's name and the target (each with its length in 4
/// bytes), the module's SHA-256, the code's BLAKE3, the code. Numbers are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code<'a> {
    /// The module, the engine and the target.
    pub key: CodeKey<'a>,
    /// The machine code.
    pub bytes: &'a [u8],
}

/// Why code cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// The bytes are not what they should be.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// The code was made from another module.
    #[error("made from another module")]
    OtherModule,
    /// The code was made by another engine.
    #[error("made for the runtime {0}")]
    OtherEngine(String),
    /// The code was made by another version of the engine, with other settings, or for another kind of processor.
    #[error("made for another version, other settings or another processor ({made}; here: {here})")]
    OtherKey {
        /// The key that it was made with.
        made: String,
        /// The key that is needed.
        here: String,
    },
}

impl<'a> Code<'a> {
    /// The bytes of a file or section.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 256);
        out.extend(MAGIC);
        out.extend(LAYOUT.to_le_bytes());
        for text in [self.key.engine, self.key.target] {
            // Names and keys have some dozens of bytes.
            out.extend((text.len() as u32).to_le_bytes());
            out.extend(text.as_bytes());
        }
        out.extend(self.key.module.as_bytes());
        out.extend(blake3::hash(self.bytes).as_bytes());
        out.extend(self.bytes);
        out
    }

    /// Reads the bytes that [`Code::encode`] wrote. The key is not compared with anything; see [`CodeKey`].
    ///
    /// # Errors
    ///
    /// [`CodeError::Damaged`]: the bytes are no code of this layout, or their checksum is wrong.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, CodeError> {
        let mut rest = bytes;
        if take(&mut rest)? != *MAGIC {
            return Err(CodeError::Damaged("it does not begin like code"));
        }
        if number(&mut rest)? != LAYOUT {
            return Err(CodeError::Damaged("another layout"));
        }
        let engine = text(&mut rest)?;
        let target = text(&mut rest)?;
        let module = ModuleDigest::from_bytes(take(&mut rest)?);
        let hash: [u8; 32] = take(&mut rest)?;
        if blake3::hash(rest) != hash {
            return Err(CodeError::Damaged("its checksum is wrong"));
        }
        Ok(Self {
            key: CodeKey {
                engine,
                target,
                module,
            },
            bytes: rest,
        })
    }
}

const SHORT: CodeError = CodeError::Damaged("it ends too early");

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CodeError> {
    let (head, tail) = rest.split_first_chunk().ok_or(SHORT)?;
    *rest = tail;
    Ok(*head)
}

fn number(rest: &mut &[u8]) -> Result<u32, CodeError> {
    take(rest).map(u32::from_le_bytes)
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, CodeError> {
    let len = number(rest)? as usize;
    let (text, tail) = rest.split_at_checked(len).ok_or(SHORT)?;
    *rest = tail;
    std::str::from_utf8(text).map_err(|_| CodeError::Damaged("a name is no text"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(bytes: &[u8]) -> Code<'_> {
        Code {
            key: CodeKey {
                engine: "wasmtime",
                target: "a target",
                module: ModuleDigest::from_bytes([7; 32]),
            },
            bytes,
        }
    }

    #[test]
    fn a_changed_byte_is_found() {
        let encoded = code(b"some code").encode();
        assert_eq!(Code::decode(&encoded), Ok(code(b"some code")));
        // Names and the module's digest are compared with what is wanted; all else is covered by magic and checksum.
        let compared = 12..encoded.len() - b"some code".len() - 32;
        for at in (0..encoded.len()).filter(|at| !compared.contains(at)) {
            let mut changed = encoded.clone();
            changed[at] ^= 1;
            assert!(Code::decode(&changed).is_err(), "byte {at}");
        }
        for len in 0..encoded.len() {
            assert!(Code::decode(&encoded[..len]).is_err(), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_code_comes_back(bytes: Vec<u8>, engine: String, target: String, module: [u8; 32]) {
            let module = ModuleDigest::from_bytes(module);
            let key = CodeKey { engine: &engine, target: &target, module };
            let code = Code { key, bytes: &bytes };
            let encoded = code.encode();
            prop_assert_eq!(Code::decode(&encoded), Ok(code));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut bytes = bytes;
            prop_assert!(Code::decode(&bytes).is_err());
            bytes.splice(0..0, [&MAGIC[..], &LAYOUT.to_le_bytes()].concat());
            if let Ok(code) = Code::decode(&bytes) {
                prop_assert_eq!(code.encode(), bytes);
            }
        }
    }
}
