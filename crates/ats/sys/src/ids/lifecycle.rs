//! Moments in the life of the server.

use crate::Version;

c_enum! {
    /// A moment in the life of the server. Numbers are the same in 9.2 and 10.x; not every moment exists in each.
    TSLifecycleHookID {
        TS_LIFECYCLE_PORTS_INITIALIZED_HOOK = 0,
        TS_LIFECYCLE_PORTS_READY_HOOK = 1,
        TS_LIFECYCLE_CACHE_READY_HOOK = 2,
        TS_LIFECYCLE_SERVER_SSL_CTX_INITIALIZED_HOOK = 3,
        TS_LIFECYCLE_CLIENT_SSL_CTX_INITIALIZED_HOOK = 4,
        TS_LIFECYCLE_MSG_HOOK = 5,
        TS_LIFECYCLE_TASK_THREADS_READY_HOOK = 6,
        TS_LIFECYCLE_SHUTDOWN_HOOK = 7,
        /// From 10.0 on.
        ///
        TS_LIFECYCLE_SSL_SECRET_HOOK = 8,
        /// From 10.2 on.
        ///
        TS_LIFECYCLE_LOG_INITIALIZED_HOOK = 9,
    }
}

impl TSLifecycleHookID {
    /// True if a version has this moment. A server ends itself when a hook that it does not know is added.
    pub const fn is_in(self, version: &Version) -> bool {
        match self {
            TS_LIFECYCLE_SSL_SECRET_HOOK => version.at_least(10, 0),
            TS_LIFECYCLE_LOG_INITIALIZED_HOOK => version.at_least(10, 2),
            TSLifecycleHookID(number) => 0 <= number && number <= TS_LIFECYCLE_SHUTDOWN_HOOK.0,
        }
    }
}
