//! A death in Rust, linked into a plugin in C.

#![no_std]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

mod deep {
    #[inline(never)]
    pub(crate) fn write(at: *mut u8) {
        // SAFETY: none: this is to be a fault, at an address that nothing is mapped at.
        unsafe { at.write_volatile(1) }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn rust_death() {
    deep::write(core::hint::black_box(0xdead0 as *mut u8));
    core::hint::black_box(());
}
