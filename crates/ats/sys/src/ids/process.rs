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
    /// The source of a configuration record's value.
    TSMgmtSource {
        TS_MGMT_SOURCE_NULL = 0,
        TS_MGMT_SOURCE_DEFAULT = 1,
        TS_MGMT_SOURCE_PLUGIN = 2,
        TS_MGMT_SOURCE_EXPLICIT = 3,
        TS_MGMT_SOURCE_ENV = 4,
    }
    /// The persistence of a counter.
    TSStatPersistence {
        TS_STAT_PERSISTENT = 1,
        TS_STAT_NON_PERSISTENT = 2,
    }
    /// The rule that makes one value of a counter's parts.
    TSStatSync {
        TS_STAT_SYNC_SUM = 0,
        TS_STAT_SYNC_COUNT = 1,
        TS_STAT_SYNC_AVG = 2,
        TS_STAT_SYNC_TIMEAVG = 3,
    }
}
