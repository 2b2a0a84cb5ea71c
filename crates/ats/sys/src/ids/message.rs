//! Answers of functions, and kinds of messages.

c_enum! {
    /// The success of a function.
    TSReturnCode {
        TS_ERROR = -1,
        TS_SUCCESS = 0,
    }
    /// The progress of a parser.
    TSParseResult {
        TS_PARSE_ERROR = -1,
        TS_PARSE_DONE = 0,
        TS_PARSE_CONT = 1,
    }
    /// The kind of message that a header belongs to.
    TSHttpType {
        TS_HTTP_TYPE_UNKNOWN = 0,
        TS_HTTP_TYPE_REQUEST = 1,
        TS_HTTP_TYPE_RESPONSE = 2,
    }
    /// The answer of `TSRemapDoRemap`.
    TSRemapStatus {
        TSREMAP_NO_REMAP = 0,
        TSREMAP_DID_REMAP = 1,
        TSREMAP_NO_REMAP_STOP = 2,
        TSREMAP_DID_REMAP_STOP = 3,
        TSREMAP_ERROR = -1,
    }
    /// The outcome of a reload of `remap.config`.
    TSRemapReloadStatus {
        TSREMAP_CONFIG_RELOAD_FAILURE = 0,
        TSREMAP_CONFIG_RELOAD_SUCCESS_PLUGIN_USED = 1,
        TSREMAP_CONFIG_RELOAD_SUCCESS_PLUGIN_UNUSED = 2,
    }
}
