//! Memory for tensors and scratch: zeroed, 64-byte aligned, on huge pages where that pays.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::NonNull;

use crate::mapping::Mapping;

/// The alignment of every buffer: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;

/// From this size on a buffer is mapped at a multiple of it and asks for huge pages.
pub const HUGE_PAGE: usize = 2 << 20;

/// The smallest page of the systems at hand.
const PAGE: usize = 4096;

/// Bytes of memory around an arena. Vector loads whose lanes are all masked out may point there: from the padding around a tensor. They
/// load nothing, but where there is no memory a processor takes hundreds of cycles for it.
const MARGIN: usize = 1 << 20;

/// A block of `len` bytes that starts at a multiple of [`ALIGNMENT`] and is zero at first.
///
/// Invariant: `start` points to `len` initialised bytes that only this value owns.
#[derive(Debug)]
pub struct AlignedBuffer {
    start: NonNull<u8>,
    len: usize,
    owner: Owner,
}

/// Where the bytes came from; freed with the buffer.
#[derive(Debug)]
enum Owner {
    Nobody,
    /// Never of a buffer that is a part of another.
    Heap(Layout),
    Pages {
        _pages: Mapping,
    },
}

/// The system has no `bytes` bytes to give.
#[derive(Debug, thiserror::Error)]
#[error("cannot allocate {bytes} bytes: {source}")]
pub struct MemoryError {
    pub bytes: usize,
    pub source: io::Error,
}

// SAFETY: the buffer owns its bytes as a `Box<[u8]>` does.
unsafe impl Send for AlignedBuffer {}
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// A buffer of `bytes` zero bytes. Large ones cost no memory until they are touched.
    pub fn zeroed(bytes: usize) -> Result<AlignedBuffer, MemoryError> {
        let buffer = match bytes {
            0 => Ok(AlignedBuffer::empty()),
            HUGE_PAGE.. => AlignedBuffer::mapped(bytes),
            _ => AlignedBuffer::allocated(bytes),
        };
        buffer.map_err(|source| MemoryError { bytes, source })
    }

    /// The same with readable memory in front of it and behind.
    pub fn with_margins(bytes: usize) -> Result<AlignedBuffer, MemoryError> {
        if bytes == 0 {
            return Ok(AlignedBuffer::empty());
        }
        let all = bytes.checked_add(2 * MARGIN).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory));
        let buffer = all.and_then(AlignedBuffer::mapped).map_err(|source| MemoryError { bytes, source })?;
        let touched = [0, MARGIN + bytes].into_iter().flat_map(|start| (start..start + MARGIN).step_by(PAGE));
        touched.for_each(|at| {
            std::hint::black_box(buffer.as_slice()[at]);
        });
        Ok(buffer.inner(MARGIN, bytes))
    }

    /// `len` bytes from `offset` on, a multiple of the alignment; the rest stays allocated.
    fn inner(mut self, offset: usize, len: usize) -> AlignedBuffer {
        let start = NonNull::from(&mut self.as_mut_slice()[offset..offset + len]).cast();
        AlignedBuffer { start, len, owner: std::mem::replace(&mut self.owner, Owner::Nobody) }
    }

    /// The first `len` bytes; the rest stays allocated. None where there are fewer.
    pub fn shortened(mut self, len: usize) -> Option<AlignedBuffer> {
        (len <= self.len).then(|| {
            self.len = len;
            self
        })
    }

    /// A buffer with a copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Result<AlignedBuffer, MemoryError> {
        let mut buffer = AlignedBuffer::zeroed(bytes.len())?;
        buffer.as_mut_slice().copy_from_slice(bytes);
        Ok(buffer)
    }

    /// A buffer without bytes; its pointer is aligned all the same.
    pub const fn empty() -> AlignedBuffer {
        let start = std::ptr::without_provenance_mut(ALIGNMENT);
        // SAFETY: the alignment is not zero.
        AlignedBuffer { start: unsafe { NonNull::new_unchecked(start) }, len: 0, owner: Owner::Nobody }
    }

    fn mapped(bytes: usize) -> io::Result<AlignedBuffer> {
        let mut pages = Mapping::zeroed(bytes, HUGE_PAGE)?;
        pages.prefer_huge_pages();
        let start = NonNull::new(pages.as_mut_ptr()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(AlignedBuffer { start, len: bytes, owner: Owner::Pages { _pages: pages } })
    }

    fn allocated(bytes: usize) -> io::Result<AlignedBuffer> {
        let layout = Layout::from_size_align(bytes, ALIGNMENT).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: the caller has dealt with the size zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(AlignedBuffer { start, len: bytes, owner: Owner::Heap(layout) })
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: by the invariant the bytes are initialised and borrowed with the buffer.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: by the invariant the bytes are initialised and borrowed with the buffer.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Default for AlignedBuffer {
    fn default() -> AlignedBuffer {
        AlignedBuffer::empty()
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        if let Owner::Heap(layout) = self.owner {
            // SAFETY: `allocated` took the bytes from the allocator with this layout.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zeroed_and_writable() {
        for bytes in [0, 1, 63, 64, 65, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1, 3 * HUGE_PAGE + 5] {
            let mut buffer = AlignedBuffer::zeroed(bytes).unwrap();
            assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0);
            assert_eq!(buffer.len(), bytes);
            assert!(buffer.as_slice().iter().all(|&byte| byte == 0));
            buffer.as_mut_slice().fill(3);
            assert!(bytes < HUGE_PAGE || buffer.as_ptr().addr().is_multiple_of(HUGE_PAGE));
        }
    }

    #[test]
    fn margins_are_outside() {
        for bytes in [0, 1, 100_000, HUGE_PAGE + 1] {
            let mut buffer = AlignedBuffer::with_margins(bytes).unwrap();
            assert_eq!((buffer.as_ptr() as usize % ALIGNMENT, buffer.len()), (0, bytes));
            assert!(buffer.as_slice().iter().all(|&byte| byte == 0));
            buffer.as_mut_slice().fill(3);
        }
        assert!(AlignedBuffer::with_margins(usize::MAX - 5).is_err());
    }

    #[test]
    fn copy_has_the_same_bytes() {
        assert_eq!(AlignedBuffer::copy_of(b"weights").unwrap().as_slice(), b"weights");
    }

    #[test]
    fn impossible_size_is_an_error() {
        let error = AlignedBuffer::zeroed(usize::MAX).unwrap_err();
        assert_eq!(error.bytes, usize::MAX);
    }
}
