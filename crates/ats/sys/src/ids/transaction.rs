//! Facts of transactions, and their controls.

c_enum! {
    /// The state of the connection to the origin.
    TSServerState {
        TS_SRVSTATE_STATE_UNDEFINED = 0,
        TS_SRVSTATE_ACTIVE_TIMEOUT = 1,
        TS_SRVSTATE_BAD_INCOMING_RESPONSE = 2,
        TS_SRVSTATE_CONNECTION_ALIVE = 3,
        TS_SRVSTATE_CONNECTION_CLOSED = 4,
        TS_SRVSTATE_CONNECTION_ERROR = 5,
        TS_SRVSTATE_INACTIVE_TIMEOUT = 6,
        TS_SRVSTATE_OPEN_RAW_ERROR = 7,
        TS_SRVSTATE_PARSE_ERROR = 8,
        TS_SRVSTATE_TRANSACTION_COMPLETE = 9,
        TS_SRVSTATE_PARENT_RETRY = 10,
        TS_SRVSTATE_OUTBOUND_CONGESTION = 11,
    }
    /// The host whose name is looked up.
    TSLookingUpType {
        TS_LOOKUP_UNDEFINED_LOOKUP = 0,
        TS_LOOKUP_PARENT_PROXY = 1,
        TS_LOOKUP_ORIGIN_SERVER = 2,
        TS_LOOKUP_INCOMING_ROUTER = 3,
        TS_LOOKUP_HOST_NONE = 4,
    }
    /// The answer of the cache; `TSHttpTxnCacheLookupStatusGet` writes it as an integer.
    TSCacheLookupResult {
        TS_CACHE_LOOKUP_MISS = 0,
        TS_CACHE_LOOKUP_HIT_STALE = 1,
        TS_CACHE_LOOKUP_HIT_FRESH = 2,
        TS_CACHE_LOOKUP_SKIPPED = 3,
    }
    /// The key of `TSHttpTxnInfoIntGet`.
    TSHttpTxnInfoKey {
        TS_TXN_INFO_NONE = -1,
        TS_TXN_INFO_CACHE_HIT_RAM = 0,
        TS_TXN_INFO_CACHE_COMPRESSED_IN_RAM = 1,
        TS_TXN_INFO_CACHE_HIT_RWW = 2,
        TS_TXN_INFO_CACHE_OPEN_READ_TRIES = 3,
        TS_TXN_INFO_CACHE_OPEN_WRITE_TRIES = 4,
        TS_TXN_INFO_CACHE_VOLUME = 5,
    }
    /// A switch of a transaction.
    TSHttpCntlType {
        TS_HTTP_CNTL_LOGGING_MODE = 0,
        TS_HTTP_CNTL_INTERCEPT_RETRY_MODE = 1,
        TS_HTTP_CNTL_RESPONSE_CACHEABLE = 2,
        TS_HTTP_CNTL_REQUEST_CACHEABLE = 3,
        TS_HTTP_CNTL_SERVER_NO_STORE = 4,
        TS_HTTP_CNTL_TXN_DEBUG = 5,
        TS_HTTP_CNTL_SKIP_REMAPPING = 6,
    }
    /// The kind of object that a user argument is attached to.
    TSUserArgType {
        TS_USER_ARGS_TXN = 0,
        TS_USER_ARGS_SSN = 1,
        TS_USER_ARGS_VCONN = 2,
        TS_USER_ARGS_GLB = 3,
    }
    /// The key of `TSHttpSsnInfoIntGet`, 10.x.
    TSHttpSsnInfoKey {
        TS_SSN_INFO_NONE = -1,
        TS_SSN_INFO_TRANSACTION_COUNT = 0,
        TS_SSN_INFO_RECEIVED_FRAME_COUNT = 1,
    }
    /// The kind of a transaction, 10.x.
    TSTxnType {
        TS_TXN_TYPE_UNKNOWN = 0,
        TS_TXN_TYPE_HTTP = 1,
        TS_TXN_TYPE_EXPLICIT_TUNNEL = 2,
        TS_TXN_TYPE_TR_PASS_TUNNEL = 3,
    }
    /// The usability of a parent or origin.
    TSHostStatus {
        TS_HOST_STATUS_INIT = 0,
        TS_HOST_STATUS_DOWN = 1,
        TS_HOST_STATUS_UP = 2,
    }
}
