//! Threads, configuration records, counters.

c_enum! {
    /// A group of threads.
    TSThreadPool {
        TS_THREAD_POOL_NET = 0,
        TS_THREAD_POOL_TASK = 1,
        TS_THREAD_POOL_DNS = 2,
        TS_THREAD_POOL_UDP = 3,
    }
    /// The type of a configuration record or counter.
    TSRecordDataType {
        TS_RECORDDATATYPE_NULL = 0,
        TS_RECORDDATATYPE_INT = 1,
        TS_RECORDDATATYPE_FLOAT = 2,
        TS_RECORDDATATYPE_STRING = 3,
        TS_RECORDDATATYPE_COUNTER = 4,
        TS_RECORDDATATYPE_STAT_CONST = 5,
        TS_RECORDDATATYPE_STAT_FX = 6,
    }
    /// Where the value of a configuration record comes from.
    TSMgmtSource {
        TS_MGMT_SOURCE_NULL = 0,
        TS_MGMT_SOURCE_DEFAULT = 1,
        TS_MGMT_SOURCE_PLUGIN = 2,
        TS_MGMT_SOURCE_EXPLICIT = 3,
        TS_MGMT_SOURCE_ENV = 4,
    }
    /// Whether a counter outlives the process.
    TSStatPersistence {
        TS_STAT_PERSISTENT = 1,
        TS_STAT_NON_PERSISTENT = 2,
    }
    /// How the parts of a counter become one value.
    TSStatSync {
        TS_STAT_SYNC_SUM = 0,
        TS_STAT_SYNC_COUNT = 1,
        TS_STAT_SYNC_AVG = 2,
        TS_STAT_SYNC_TIMEAVG = 3,
    }
}
