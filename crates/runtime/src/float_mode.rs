//! The processor's floating-point mode while generated code runs: round to nearest even, denormals kept, no traps.

/// Holds the default mode; the mode of before comes back when it is dropped. Threads started meanwhile get the default too.
pub struct DefaultFloatMode {
    before: u32,
}

/// MXCSR after a reset: all exceptions masked, nearest even, no flush to zero.
#[cfg(target_arch = "x86_64")]
const DEFAULT: u32 = 0x1f80;

impl DefaultFloatMode {
    pub fn enter() -> DefaultFloatMode {
        let before = mode();
        set_mode(default_mode());
        DefaultFloatMode { before }
    }
}

impl Drop for DefaultFloatMode {
    fn drop(&mut self) {
        set_mode(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
fn default_mode() -> u32 {
    DEFAULT
}

#[cfg(target_arch = "x86_64")]
fn mode() -> u32 {
    let mut mode = 0u32;
    // SAFETY: stores the control register to `mode`.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut mode, options(nostack, preserves_flags)) };
    mode
}

#[cfg(target_arch = "x86_64")]
fn set_mode(mode: u32) {
    // SAFETY: `mode` is the default or what the register held before, so no reserved bit is set. Rust code sees another mode than the
    // default only where the caller had one already.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &mode, options(nostack, readonly, preserves_flags)) };
}

#[cfg(not(target_arch = "x86_64"))]
fn default_mode() -> u32 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn mode() -> u32 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn set_mode(_: u32) {}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn mode_comes_back() {
        let flush = DEFAULT | 1 << 15;
        set_mode(flush);
        let held = DefaultFloatMode::enter();
        let inside = mode();
        let thread = std::thread::spawn(mode).join();
        drop(held);
        let after = mode();
        set_mode(DEFAULT);
        assert_eq!((inside & !0x3f, thread.ok().map(|m| m & !0x3f), after), (DEFAULT, Some(DEFAULT), flush));
    }
}
