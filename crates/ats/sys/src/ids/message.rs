//! What functions answer, and what messages are.

c_enum! {
    /// Whether a function did its work.
    TSReturnCode {
        TS_ERROR = -1,
        TS_SUCCESS = 0,
    }
    /// How far a parser came.
    TSParseResult {
        TS_PARSE_ERROR = -1,
        TS_PARSE_DONE = 0,
        TS_PARSE_CONT = 1,
    }
    /// What a header belongs to.
    TSHttpType {
        TS_HTTP_TYPE_UNKNOWN = 0,
        TS_HTTP_TYPE_REQUEST = 1,
        TS_HTTP_TYPE_RESPONSE = 2,
    }
    /// What `TSRemapDoRemap` answers.
    TSRemapStatus {
        TSREMAP_NO_REMAP = 0,
        TSREMAP_DID_REMAP = 1,
        TSREMAP_NO_REMAP_STOP = 2,
        TSREMAP_DID_REMAP_STOP = 3,
        TSREMAP_ERROR = -1,
    }
    /// How a reload of `remap.config` ended.
    TSRemapReloadStatus {
        TSREMAP_CONFIG_RELOAD_FAILURE = 0,
        TSREMAP_CONFIG_RELOAD_SUCCESS_PLUGIN_USED = 1,
        TSREMAP_CONFIG_RELOAD_SUCCESS_PLUGIN_UNUSED = 2,
    }
}
