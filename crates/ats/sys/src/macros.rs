//! The macros that declare functions, handles and enumerations of the C interface.

/// Declares functions of the server, each once, in two groups.
///
/// A `required` one is in every supported server and becomes a `pub unsafe fn`: one load and an indirect call. An
/// `optional` one becomes a `pub static` of type `Optional`. The string is the mangled name of 10.x; the C name of 9.2
/// is the name itself. `ENTRIES` is what `load` looks up.
macro_rules! functions {
    (
        required { $($(#[$note:meta])* fn $name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)? = $mangled:literal;)* }
        optional { $($(#[$may_doc:meta])* fn $may:ident($($may_arg:ident: $may_type:ty),*) $(-> $may_ret:ty)? = $may_mangled:literal;)* }
    ) => {
        mod address {
            use std::ffi::c_void;
            use std::sync::atomic::AtomicPtr;

            $(pub(super) static $name: AtomicPtr<c_void> = AtomicPtr::new($crate::table::NOT_LOADED);)*
        }

        $(
            #[doc = concat!("C function `", stringify!($name), "`.")]
            ///
            $(#[$note])*
            ///
            /// # Safety
            ///
            /// The rules of `ts/ts.h` for this function hold: handles and pointers are valid for it, and it is called
            /// from a thread and a hook that it allows. `load` succeeded before.
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "the C interface decides")]
            pub unsafe fn $name($($arg: $type),*) $(-> $ret)? {
                let found = address::$name.load(std::sync::atomic::Ordering::Relaxed);
                // SAFETY: the table holds either what the server exports under this name, whose C signature this is,
                // or a function that takes nothing and ends the process.
                let call = unsafe {
                    std::mem::transmute::<*mut std::ffi::c_void, unsafe extern "C" fn($($type),*) $(-> $ret)?>(found)
                };
                // SAFETY: the caller keeps the rules of this function.
                unsafe { call($($arg),*) }
            }
        )*

        $(
            #[doc = concat!("C function `", stringify!($may), "`, where the server has it.")]
            $(#[$may_doc])*
            pub static $may: $crate::table::Optional<unsafe extern "C" fn($($may_type),*) $(-> $may_ret)?> =
                // SAFETY: the entry below fills it with the function of this name, whose C signature this is.
                unsafe { $crate::table::Optional::empty() };
        )*

        pub(crate) static ENTRIES: &[$crate::table::Entry] = &[
            $($crate::table::Entry {
                c_name: $crate::table::name(concat!(stringify!($name), "\0")),
                mangled: $crate::table::name(concat!($mangled, "\0")),
                required: true,
                address: &address::$name,
                #[cfg(test)]
                arguments: &[$(stringify!($type)),*],
            },)*
            $($crate::table::Entry {
                c_name: $crate::table::name(concat!(stringify!($may), "\0")),
                mangled: $crate::table::name(concat!($may_mangled, "\0")),
                required: false,
                address: $may.address(),
                #[cfg(test)]
                arguments: &[$(stringify!($may_type)),*],
            },)*
        ];
    };
}

/// Declares pointers to things of the server whose inside is not known.
macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[repr(transparent)]
            #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
            pub struct $name(pub *mut std::ffi::c_void);

            impl $name {
                /// No such thing.
                pub const NULL: Self = Self(std::ptr::null_mut());

                /// True if there is no such thing.
                #[inline]
                pub const fn is_null(self) -> bool {
                    self.0.is_null()
                }

                /// The address, as event data and user arguments want it.
                #[inline]
                pub const fn as_ptr(self) -> *mut std::ffi::c_void {
                    self.0
                }
            }
        )*
    };
}

/// Declares an enumeration of the C interface: an integer with named values, since a server may know more of them.
macro_rules! c_enum {
    ($($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $number:expr,)* })*) => {
        $(
            $(#[$doc])*
            #[repr(transparent)]
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
            pub struct $name(pub std::ffi::c_int);

            $(
                $(#[$value_doc])*
                #[doc = concat!("C constant `", stringify!($value), "`.")]
                pub const $value: $name = $name($number);
            )*
        )*
    };
}
