//! Exported functions by shape, so that a call passes its arguments in registers.

use wasmtime::{Func, Store, TypedFunc};
use weir_engine::Signature;
use weir_engine_support::is_callable;

use crate::instance::Data;

macro_rules! exports {
    ($($count:literal $nothing:ident $value:ident ($($arg:ident)*) ($($ty:ident)*);)*) => {
        /// An export: takes up to five `i32`, returns nothing (`A…`) or an `i32` (`R…`).
        pub(crate) enum Export {
            $(
                $nothing(TypedFunc<($($ty,)*), ()>),
                $value(TypedFunc<($($ty,)*), u32>),
            )*
        }

        impl Export {
            /// `None` where `func` is not of type `signature` or no export has that type.
            pub(crate) fn new(func: &Func, store: &Store<Data>, signature: Signature) -> Option<Self> {
                if !is_callable(signature) {
                    return None;
                }
                match (signature.params.len(), signature.result) {
                    $(
                        ($count, None) => func.typed(store).ok().map(Self::$nothing),
                        ($count, Some(_)) => func.typed(store).ok().map(Self::$value),
                    )*
                    _ => None,
                }
            }

            /// Calls it; `None` where the number of arguments is wrong.
            #[inline]
            pub(crate) fn call(&self, store: &mut Store<Data>, args: &[u32]) -> Option<wasmtime::Result<u32>> {
                match (self, args) {
                    $(
                        (Self::$nothing(func), &[$($arg),*]) => Some(func.call(store, ($($arg,)*)).map(|()| 0)),
                        (Self::$value(func), &[$($arg),*]) => Some(func.call(store, ($($arg,)*))),
                    )*
                    _ => None,
                }
            }
        }
    };
}

exports! {
    0 A0 R0 () ();
    1 A1 R1 (a) (u32);
    2 A2 R2 (a b) (u32 u32);
    3 A3 R3 (a b c) (u32 u32 u32);
    4 A4 R4 (a b c d) (u32 u32 u32 u32);
    5 A5 R5 (a b c d e) (u32 u32 u32 u32 u32);
}
