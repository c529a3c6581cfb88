//! Pages from the operating system: mapped, protected, unmapped on drop.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

/// Private pages, zeroed and writable at first. Invariant: `start` and `bytes` describe whole pages that only this
/// value owns.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

/// What pages may be used for once they are filled. None is both writable and executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadExecute,
}

// SAFETY: the mapping is plain memory; access follows the borrow of the value.
unsafe impl Send for Mapping {}
unsafe impl Sync for Mapping {}

impl Mapping {
    /// At least `bytes` > 0 zeroed bytes, rounded up to pages, starting at a multiple of `align`, a power of two.
    pub fn zeroed(bytes: usize, align: usize) -> io::Result<Mapping> {
        let page = page_bytes();
        let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
        let bytes = bytes.checked_next_multiple_of(page).ok_or_else(too_large)?;
        let slack = align.max(page) - page;
        let whole = Mapping::anywhere(bytes.checked_add(slack).ok_or_else(too_large)?)?;
        Ok(whole.trimmed(align.max(page), bytes))
    }

    fn anywhere(bytes: usize) -> io::Result<Mapping> {
        // SAFETY: an anonymous mapping at an address of the system's choice touches no existing memory.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast()).map(|start| Mapping { start, bytes }).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// The first `bytes` that start at a multiple of `align`; the pages before and after go back.
    fn trimmed(self, align: usize, bytes: usize) -> Mapping {
        let address = self.start.addr().get();
        let before = address.next_multiple_of(align) - address;
        let after = self.bytes - before - bytes;
        // SAFETY: `zeroed` mapped enough for both offsets to lie inside; each part is unmapped once.
        unsafe {
            let start = self.start.add(before);
            drop(Mapping { start: self.start, bytes: before });
            drop(Mapping { start: start.add(bytes), bytes: after });
            std::mem::forget(self);
            Mapping { start, bytes }
        }
    }

    pub fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Gives the pages of `range`, in bytes from the start, their final access. No pages need none: systems differ in whether that is an
    /// error.
    pub fn protect(&mut self, range: Range<usize>, access: Access) -> io::Result<()> {
        assert!(
            range.start.is_multiple_of(page_bytes()) && range.start <= range.end && range.end <= self.bytes,
            "range {range:?} of {}",
            self.bytes
        );
        if range.is_empty() {
            return Ok(());
        }
        let flags = match access {
            Access::Read => libc::PROT_READ,
            Access::ReadExecute => libc::PROT_READ | libc::PROT_EXEC,
        };
        // SAFETY: the range lies inside the mapping, which this value owns alone.
        let failed = unsafe { libc::mprotect(self.start.as_ptr().add(range.start).cast(), range.len(), flags) };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Asks for huge pages; the system may not follow, which costs only speed.
    pub fn prefer_huge_pages(&mut self) {
        #[cfg(target_os = "linux")]
        // SAFETY: the advice does not change what the memory holds.
        unsafe {
            libc::madvise(self.start.as_ptr().cast(), self.bytes, libc::MADV_HUGEPAGE);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: the pages belong to this value and nothing borrows it any more.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
        }
    }
}

/// The size of a page of this machine.
pub fn page_bytes() -> usize {
    // SAFETY: the call only reads a constant of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_is_aligned_and_all_pages_are_writable() {
        for align in [1, 4096, 1 << 16, 1 << 21] {
            let mut mapping = Mapping::zeroed(10_000, align).unwrap();
            assert_eq!(mapping.as_ptr() as usize % align, 0);
            assert_eq!(mapping.bytes, 10_000usize.next_multiple_of(page_bytes()));
            // SAFETY: the bytes belong to the mapping.
            unsafe { mapping.as_mut_ptr().write_bytes(7, mapping.bytes) };
        }
    }

    #[test]
    fn impossible_size_is_an_error() {
        assert!(Mapping::zeroed(usize::MAX, 1 << 21).is_err());
        assert!(Mapping::zeroed(usize::MAX / 2, 1).is_err());
    }
}
