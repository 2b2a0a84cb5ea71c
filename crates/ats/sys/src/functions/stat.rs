//! Counters that the server shows.

use std::ffi::{c_char, c_int};

use crate::{TSRecordDataType, TSReturnCode, TSStatPersistence, TSStatSync};

functions! {
    required {
        /// The number it answers has no meaning of its own; -1 is a failure and must not be handed to any other
        /// function.
        fn TSStatCreate(
            name: *const c_char,
            data_type: TSRecordDataType,
            persistence: TSStatPersistence,
            sync: TSStatSync
        ) -> c_int =
            "_Z12TSStatCreatePKc16TSRecordDataType17TSStatPersistence10TSStatSync";
        fn TSStatFindName(name: *const c_char, out_stat: *mut c_int) -> TSReturnCode =
            "_Z14TSStatFindNamePKcPi";
        fn TSStatIntDecrement(stat: c_int, amount: i64) = "_Z18TSStatIntDecrementil";
        fn TSStatIntGet(stat: c_int) -> i64 = "_Z12TSStatIntGeti";
        fn TSStatIntIncrement(stat: c_int, amount: i64) = "_Z18TSStatIntIncrementil";
        fn TSStatIntSet(stat: c_int, value: i64) = "_Z12TSStatIntSetil";
    }
    optional {}
}
