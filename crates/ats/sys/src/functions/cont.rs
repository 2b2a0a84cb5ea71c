//! Continuations, mutexes, threads, scheduling.

use std::ffi::{c_int, c_void};

use crate::{
    TSAction, TSCont, TSEvent, TSEventFunc, TSEventThread, TSHRTime, TSMutex, TSReturnCode, TSThread,
    TSThreadFunc, TSThreadPool,
};

functions! {
    required {
        fn TSActionCancel(action: TSAction) = "_Z14TSActionCancelP12tsapi_action";
        fn TSActionDone(action: TSAction) -> c_int = "_Z12TSActionDoneP12tsapi_action";
        fn TSContCall(cont: TSCont, event: TSEvent, data: *mut c_void) -> c_int =
            "_Z10TSContCallP10tsapi_cont7TSEventPv";
        fn TSContCreate(handler: TSEventFunc, mutex: TSMutex) -> TSCont =
            "_Z12TSContCreatePFiP10tsapi_cont7TSEventPvEP11tsapi_mutex";
        fn TSContDataGet(cont: TSCont) -> *mut c_void = "_Z13TSContDataGetP10tsapi_cont";
        fn TSContDataSet(cont: TSCont, data: *mut c_void) = "_Z13TSContDataSetP10tsapi_contPv";
        fn TSContDestroy(cont: TSCont) = "_Z13TSContDestroyP10tsapi_cont";
        fn TSContMutexGet(cont: TSCont) -> TSMutex = "_Z14TSContMutexGetP10tsapi_cont";
        fn TSContScheduleEveryOnPool(cont: TSCont, every: TSHRTime, pool: TSThreadPool) -> TSAction =
            "_Z25TSContScheduleEveryOnPoolP10tsapi_contl12TSThreadPool";
        fn TSContScheduleEveryOnThread(cont: TSCont, every: TSHRTime, thread: TSEventThread) -> TSAction =
            "_Z27TSContScheduleEveryOnThreadP10tsapi_contlP18tsapi_event_thread";
        /// A thread that the server did not start needs `TSThreadInit` first, or the process crashes. `delay` is in
        /// milliseconds.
        fn TSContScheduleOnPool(cont: TSCont, delay: TSHRTime, pool: TSThreadPool) -> TSAction =
            "_Z20TSContScheduleOnPoolP10tsapi_contl12TSThreadPool";
        /// A thread that the server did not start needs `TSThreadInit` first, or the process crashes. `delay` is in
        /// milliseconds.
        fn TSContScheduleOnThread(cont: TSCont, delay: TSHRTime, thread: TSEventThread) -> TSAction =
            "_Z22TSContScheduleOnThreadP10tsapi_contlP18tsapi_event_thread";
        fn TSContThreadAffinityClear(cont: TSCont) = "_Z25TSContThreadAffinityClearP10tsapi_cont";
        fn TSContThreadAffinityGet(cont: TSCont) -> TSEventThread =
            "_Z23TSContThreadAffinityGetP10tsapi_cont";
        fn TSContThreadAffinitySet(cont: TSCont, thread: TSEventThread) -> TSReturnCode =
            "_Z23TSContThreadAffinitySetP10tsapi_contP18tsapi_event_thread";
        fn TSEventThreadSelf() -> TSEventThread = "_Z17TSEventThreadSelfv";
        fn TSMutexCreate() -> TSMutex = "_Z13TSMutexCreatev";
        fn TSMutexDestroy(mutex: TSMutex) = "_Z14TSMutexDestroyP11tsapi_mutex";
        fn TSMutexLock(mutex: TSMutex) = "_Z11TSMutexLockP11tsapi_mutex";
        fn TSMutexLockTry(mutex: TSMutex) -> TSReturnCode = "_Z14TSMutexLockTryP11tsapi_mutex";
        fn TSMutexUnlock(mutex: TSMutex) = "_Z13TSMutexUnlockP11tsapi_mutex";
        fn TSThreadCreate(run: TSThreadFunc, data: *mut c_void) -> TSThread = "_Z14TSThreadCreatePFPvS_ES_";
        fn TSThreadDestroy(thread: TSThread) = "_Z15TSThreadDestroyP12tsapi_thread";
        fn TSThreadInit() -> TSThread = "_Z12TSThreadInitv";
        fn TSThreadSelf() -> TSThread = "_Z12TSThreadSelfv";
        fn TSThreadWait(thread: TSThread) = "_Z12TSThreadWaitP12tsapi_thread";
    }
    optional {}
}
