//! Tables that begin with their size and grow at the end.
//!
//! A reader copies what the maker has of the table it knows itself; whatever lies beyond the maker's
//! `size` reads as zero, which is "absent" for every field.

use std::mem::{offset_of, size_of};

use super::{Context, Host, Plugin, Sink};

/// A `repr(C)` table whose first field is its size in bytes.
///
/// # Safety
/// The first field is a `usize`; every bit pattern of zeros is a value of every field; every field
/// from [`Self::REQUIRED`] on has a size and an offset that are multiples of 8.
pub unsafe trait Table: Copy {
    /// Bytes that any version has: a shorter table is malformed.
    const REQUIRED: usize;
}

// SAFETY: size_t first; integers, raw pointers and optional functions, all of which may be zero;
// 8-byte fields.
unsafe impl Table for Sink {
    const REQUIRED: usize = size_of::<Self>();
}

// SAFETY: as above, with Bytes of 16 bytes.
unsafe impl Table for Context {
    const REQUIRED: usize = size_of::<Self>();
}

// SAFETY: as above; the two 4-byte fields lie within REQUIRED.
unsafe impl Table for Host {
    const REQUIRED: usize = offset_of!(Self, log);
}

// SAFETY: as above; the two 4-byte fields lie within REQUIRED.
unsafe impl Table for Plugin {
    const REQUIRED: usize = offset_of!(Self, create);
}

/// Copies the table at `from`; `None` if it is null, misaligned or shorter than any version is.
///
/// # Safety
/// If `from` is not null and aligned, a `usize` is readable there, and as many bytes as it says.
#[must_use]
pub unsafe fn read<T: Table>(from: *const T) -> Option<T> {
    if from.is_null() || !from.is_aligned() {
        return None;
    }
    // SAFETY: a Table begins with a usize, readable by the caller's promise; aligned as checked,
    // since a struct is aligned at least as its fields are.
    let size = unsafe { from.cast::<usize>().read() };
    if size < T::REQUIRED {
        return None;
    }
    // A field that lies in part beyond `size` is absent: past REQUIRED all are multiples of 8.
    let known = (size & !7).min(size_of::<T>());
    let mut table = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: `known` is at most `size`, which is readable, and at most the size of the local,
    // which is a distinct object.
    unsafe {
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), table.as_mut_ptr().cast::<u8>(), known)
    };
    // SAFETY: whole fields were copied, from a T of the maker's version; the others are zero, which
    // Table promises to be a value.
    Some(unsafe { table.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Plugin = Plugin {
        size: size_of::<Plugin>(),
        abi: super::super::VERSION,
        reserved: 0,
        required_features: 0,
        optional_features: 3,
        create: None,
        call: None,
        hook: None,
        snapshot: None,
        restore: None,
        health: None,
        shutdown: None,
        destroy: Some(destroy),
    };

    unsafe extern "C" fn destroy(_: *mut std::ffi::c_void) {}

    fn read_plugin(table: &Plugin) -> Option<Plugin> {
        // SAFETY: a reference to a whole Plugin, whose `size` no test here sets beyond it.
        unsafe { read(table) }
    }

    #[test]
    fn null_is_refused() {
        // SAFETY: null is allowed.
        assert!(unsafe { read::<Plugin>(std::ptr::null()) }.is_none());
    }

    #[test]
    fn whole_table_reads_whole() {
        let table = read_plugin(&WHOLE).unwrap();

        assert_eq!(table.optional_features, 3);
        assert!(table.destroy.is_some());
    }

    #[test]
    fn field_beyond_the_size_is_absent() {
        let older = Plugin {
            size: offset_of!(Plugin, destroy),
            ..WHOLE
        };

        assert!(read_plugin(&older).unwrap().destroy.is_none());
    }

    #[test]
    fn field_in_part_beyond_the_size_is_absent() {
        let torn = Plugin {
            size: size_of::<Plugin>() - 1,
            ..WHOLE
        };

        assert!(read_plugin(&torn).unwrap().destroy.is_none());
    }

    #[test]
    fn table_shorter_than_any_version_is_refused() {
        let short = Plugin {
            size: Plugin::REQUIRED - 1,
            ..WHOLE
        };

        assert!(read_plugin(&short).is_none());
    }
}
