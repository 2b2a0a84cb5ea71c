//! Buffers, connections, the cache as a store.

c_enum! {
    /// The way a connection is closed; `TSVConnAbort` takes the reason as an integer.
    TSVConnCloseFlags {
        TS_VC_CLOSE_ABORT = -1,
        TS_VC_CLOSE_NORMAL = 1,
    }
    /// The size of a buffer's blocks.
    TSIOBufferSizeIndex {
        TS_IOBUFFER_SIZE_INDEX_128 = 0,
        TS_IOBUFFER_SIZE_INDEX_256 = 1,
        TS_IOBUFFER_SIZE_INDEX_512 = 2,
        TS_IOBUFFER_SIZE_INDEX_1K = 3,
        TS_IOBUFFER_SIZE_INDEX_2K = 4,
        TS_IOBUFFER_SIZE_INDEX_4K = 5,
        TS_IOBUFFER_SIZE_INDEX_8K = 6,
        TS_IOBUFFER_SIZE_INDEX_16K = 7,
        TS_IOBUFFER_SIZE_INDEX_32K = 8,
        TS_IOBUFFER_SIZE_INDEX_64K = 9,
        TS_IOBUFFER_SIZE_INDEX_128K = 10,
        TS_IOBUFFER_SIZE_INDEX_256K = 11,
        TS_IOBUFFER_SIZE_INDEX_512K = 12,
        TS_IOBUFFER_SIZE_INDEX_1M = 13,
        TS_IOBUFFER_SIZE_INDEX_2M = 14,
    }
    /// From how many bytes on a reader is called.
    TSIOBufferWaterMark {
        TS_IOBUFFER_WATER_MARK_UNDEFINED = -1,
        TS_IOBUFFER_WATER_MARK_PLUGIN_VC_DEFAULT = 0,
        TS_IOBUFFER_WATER_MARK_HTTP_DEFAULT = 32768,
    }
    /// The kind of an object in the cache.
    TSCacheDataType {
        TS_CACHE_DATA_TYPE_NONE = 0,
        TS_CACHE_DATA_TYPE_HTTP = 1,
        TS_CACHE_DATA_TYPE_OTHER = 2,
    }
    /// Why the cache did not open an object; it comes as the data of the event.
    TSCacheError {
        TS_CACHE_ERROR_NO_DOC = -20400,
        TS_CACHE_ERROR_DOC_BUSY = -20401,
        TS_CACHE_ERROR_NOT_READY = -20407,
    }
}
