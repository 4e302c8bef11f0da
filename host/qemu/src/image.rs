//! Turns the kernel's ELF file into the flat image that boot loaders load, as `objcopy -O binary` would, and measures it.

use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Bytes that an arm64 Image begins with (Linux, Documentation/arch/arm64/booting.rst, "Call the kernel image").
pub const HEADER_SIZE: usize = 64;

/// The header's `magic`.
pub const MAGIC: [u8; 4] = *b"ARM\x64";

const TEXT_OFFSET_AT: usize = 0x08;
const IMAGE_SIZE_AT: usize = 0x10;
const MAGIC_AT: usize = 0x38;

/// A flat image larger than this is an ELF laid out wrongly, not a kernel.
const LARGEST: u64 = 256 << 20;

/// An arm64 Image: what a boot loader writes to memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    bytes: Arc<[u8]>,
    /// Where it was linked to lie.
    base: u64,
    /// Its functions, if it was made of an ELF file that names them: offsets from the image's beginning.
    functions: Arc<BTreeMap<String, u64>>,
}

impl Image {
    /// Reads a file, an ELF or an Image.
    ///
    /// # Errors
    /// The file cannot be read, or is neither.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let image =
            if bytes.starts_with(&object::elf::ELFMAG) { Self::from_elf(&bytes) } else { Self::from_flat(bytes) };
        image.with_context(|| format!("{} is not a kernel that can be booted", path.display()))
    }

    /// Takes an Image as it is.
    ///
    /// # Errors
    /// It has no arm64 Image header.
    pub fn from_flat(bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        ensure!(
            bytes.len() >= HEADER_SIZE && bytes[MAGIC_AT..MAGIC_AT + MAGIC.len()] == MAGIC,
            "it does not begin with the arm64 Image header ({MAGIC_AT:#x} should hold \"ARM\\x64\"): \
             the linker script must place the header first (linker/kernel.ld, section .head)"
        );
        Ok(Self { bytes, base: 0, functions: Arc::default() })
    }

    /// Flattens an ELF: the file contents of its loadable segments, from the lowest physical address on.
    ///
    /// # Errors
    /// It is no 64-bit little-endian ELF, its segments are damaged, or what comes out has no Image header.
    pub fn from_elf(elf: &[u8]) -> Result<Self> {
        let header = FileHeader64::<Endianness>::parse(elf).context("it is not a 64-bit ELF file")?;
        let endian = header.endian().context("it is not an ELF file of a known endianness")?;
        let mut parts = Vec::new();
        for segment in header.program_headers(endian, elf).context("its program headers are damaged")? {
            if segment.p_type(endian) == PT_LOAD && segment.p_filesz(endian) > 0 {
                let data = segment.data(endian, elf).ok().context("a segment lies outside the file")?;
                parts.push((segment.p_paddr(endian), data));
            }
        }
        let base = parts.iter().map(|(address, _)| *address).min().context("it has no loadable segment")?;
        let end = parts.iter().map(|(address, data)| address.saturating_add(data.len() as u64)).max().unwrap_or(base);
        ensure!(
            end - base <= LARGEST,
            "its segments span {} MiB: their physical addresses are far apart, so it cannot be one flat image",
            (end - base) >> 20
        );
        let mut flat = vec![0; (end - base) as usize];
        for (address, data) in parts {
            let at = (address - base) as usize;
            flat[at..at + data.len()].copy_from_slice(data);
        }
        let functions = Arc::new(functions(elf, base));
        Ok(Self { base, functions, ..Self::from_flat(flat)? })
    }

    /// Where a function begins, from the image's beginning, by its path (`kernel::panic::run`). None for a flat image, or where
    /// the compiler left no such function.
    #[must_use]
    pub fn function(&self, path: &str) -> Option<u64> {
        self.functions.get(path).copied()
    }

    /// The function that an offset from the image's beginning lies in, and where that begins.
    #[must_use]
    pub fn function_at(&self, at: u64) -> Option<(&str, u64)> {
        let before = self.functions.iter().filter(|(_, begin)| **begin <= at);
        before.max_by_key(|(_, begin)| **begin).map(|(path, begin)| (path.as_str(), *begin))
    }

    /// Where it was linked to lie; 0 if that is not known.
    #[must_use]
    pub fn link_base(&self) -> u64 {
        self.base
    }

    /// The same with another instruction at this offset.
    ///
    /// # Errors
    /// There is no whole word.
    pub fn patched(&self, at: u64, word: u32) -> Result<Self> {
        let mut bytes = self.bytes.to_vec();
        let place = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at..at.checked_add(4)?));
        place.with_context(|| format!("the image ends before {at:#x}"))?.copy_from_slice(&word.to_le_bytes());
        Ok(Self { bytes: bytes.into(), ..self.clone() })
    }

    /// The image.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of the file, as it is written to a card or a flash.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Bytes of memory from the image's start that it needs: code, data, `.bss`, stacks and page tables.
    #[must_use]
    pub fn memory_size(&self) -> u64 {
        self.u64_at(IMAGE_SIZE_AT)
    }

    /// How far behind a 2 MiB boundary it wants to be loaded.
    #[must_use]
    pub fn text_offset(&self) -> u64 {
        self.u64_at(TEXT_OFFSET_AT)
    }

    fn u64_at(&self, at: usize) -> u64 {
        self.bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

/// The functions of an ELF file, as far as it names them. Of two with one path the first in memory.
fn functions(elf: &[u8], base: u64) -> BTreeMap<String, u64> {
    let mut functions = BTreeMap::new();
    let Ok(file) = object::File::parse(elf) else { return functions };
    let mut symbols: Vec<_> = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text).collect();
    symbols.sort_by_key(ObjectSymbol::address);
    for symbol in symbols {
        if let (Ok(name), Some(at)) = (symbol.name(), symbol.address().checked_sub(base)) {
            // Without the hash behind it.
            functions.entry(format!("{:#}", rustc_demangle::demangle(name))).or_insert(at);
        }
    }
    functions
}

/// The header of an image whose code begins behind it.
#[must_use]
pub fn header(memory_size: u64) -> [u8; HEADER_SIZE] {
    /// Little endian, 4 KiB pages, anywhere in memory.
    const FLAGS: u64 = 0xa;
    let branch = 0x1400_0000 | (HEADER_SIZE as u32 / 4);
    let mut header = [0; HEADER_SIZE];
    header[..4].copy_from_slice(&branch.to_le_bytes());
    header[IMAGE_SIZE_AT..][..8].copy_from_slice(&memory_size.to_le_bytes());
    header[IMAGE_SIZE_AT + 8..][..8].copy_from_slice(&FLAGS.to_le_bytes());
    header[MAGIC_AT..][..4].copy_from_slice(&MAGIC);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: u32 = 1;
    const NOTE: u32 = 4;

    /// An ELF with these segments, each (type, physical address, content).
    fn elf(segments: &[(u32, u64, &[u8])]) -> Vec<u8> {
        const ET_DYN: u16 = 3;
        const EM_AARCH64: u16 = 183;
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(16, 0);
        elf.extend([ET_DYN, EM_AARCH64, 1, 0].map(u16::to_le_bytes).as_flattened());
        elf.extend([0, 64, 0].map(u64::to_le_bytes).as_flattened()); // entry, program headers, section headers
        elf.extend([0, 0, 64, 56, segments.len() as u16, 64, 0, 0].map(u16::to_le_bytes).as_flattened());
        let mut at = (64 + 56 * segments.len()) as u64;
        for (kind, address, content) in segments {
            let size = content.len() as u64;
            elf.extend([*kind, 5].map(u32::to_le_bytes).as_flattened());
            elf.extend([at, 0x77_0000, *address, size, size + 0x1000, 4096].map(u64::to_le_bytes).as_flattened());
            at += size;
        }
        elf.extend(segments.iter().flat_map(|(_, _, content)| *content));
        elf
    }

    #[test]
    fn segments_are_laid_out_by_physical_address_without_what_is_not_in_the_file() {
        let (head, data) = (header(0x9000), [1, 2, 3]);
        let elf = elf(&[
            (LOAD, 0x4020_1000, &data),
            (NOTE, 0, b"a note"),
            (LOAD, 0x4020_0000, &head),
            (LOAD, 0x4060_0000, &[]),
        ]);
        let image = Image::from_elf(&elf).unwrap();
        assert_eq!(image.bytes()[..64], head);
        assert!(image.bytes()[64..0x1000].iter().all(|byte| *byte == 0));
        assert_eq!(image.bytes()[0x1000..], data);
        assert_eq!((image.file_size(), image.memory_size(), image.text_offset()), (0x1003, 0x9000, 0));
    }

    #[test]
    fn what_is_no_kernel_says_why() {
        let head = header(0);
        let cases: [(Vec<u8>, &str); 6] = [
            (vec![0; 100], "arm64 Image header"),
            (head[..63].to_vec(), "arm64 Image header"),
            (b"\x7fELF\x01".to_vec(), "64-bit ELF"),
            (elf(&[(NOTE, 0, b"")]), "no loadable segment"),
            (elf(&[(LOAD, 0, &[0; 64])]), "arm64 Image header"),
            (elf(&[(LOAD, 0, &head), (LOAD, 1 << 40, &head)]), "far apart"),
        ];
        for (bytes, why) in cases {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let error = format!("{:#}", Image::load(file.path()).unwrap_err());
            assert!(error.contains(why) && error.contains("not a kernel"), "{error}");
        }
    }

    #[test]
    fn a_damaged_elf_is_an_error() {
        let whole = elf(&[(LOAD, 0x4020_0000, &header(0x9000))]);
        assert!(Image::from_elf(&whole).is_ok());
        for size in 0..whole.len() {
            assert!(Image::from_elf(&whole[..size]).is_err(), "{size}");
        }
    }
}
