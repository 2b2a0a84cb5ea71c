//! Numbers that the headers of 9.2.9, 10.0.6, 10.1.4 and 10.2.0 give, as data.

use crate::*;

const V9: Version = Version {
    line: Line::V9,
    major: 9,
    minor: 2,
    patch: 9,
};
const V10_0: Version = Version {
    line: Line::V10,
    major: 10,
    minor: 0,
    patch: 6,
};
const V10_1: Version = Version {
    line: Line::V10,
    major: 10,
    minor: 1,
    patch: 4,
};
const V10_2: Version = Version {
    line: Line::V10,
    major: 10,
    minor: 2,
    patch: 0,
};

/// Each hook with its number and event on 9.2, its number and event on 10.x; event 0 stands for several.
const HOOKS: &[(Hook, [i32; 4])] = &[
    (Hook::ReadRequestHdr, [0, 60002, 0, 60002]),
    (Hook::OsDns, [1, 60003, 1, 60003]),
    (Hook::SendRequestHdr, [2, 60004, 2, 60004]),
    (Hook::ReadCacheHdr, [3, 60005, 3, 60005]),
    (Hook::ReadResponseHdr, [4, 60006, 4, 60006]),
    (Hook::SendResponseHdr, [5, 60007, 5, 60007]),
    (Hook::RequestTransform, [6, 60008, 6, 60008]),
    (Hook::ResponseTransform, [7, 60009, 7, 60009]),
    (Hook::SelectAlt, [8, 60010, 8, 60010]),
    (Hook::TxnStart, [9, 60011, 9, 60011]),
    (Hook::TxnClose, [10, 60012, 10, 60012]),
    (Hook::SsnStart, [11, 60013, 11, 60013]),
    (Hook::SsnClose, [12, 60014, 12, 60014]),
    (Hook::CacheLookupComplete, [13, 60015, 13, 60015]),
    (Hook::PreRemap, [14, 60016, 14, 60016]),
    (Hook::PostRemap, [15, 60017, 15, 60017]),
    (Hook::ResponseClient, [16, 60018, 17, 60019]),
    (Hook::RequestBufferReadComplete, [27, 60029, 16, 60018]),
    (Hook::VconnStart, [17, 107, 20, 107]),
    (Hook::VconnClose, [18, 108, 21, 108]),
    (Hook::SslClientHello, [19, 60207, 22, 60207]),
    (Hook::SslCert, [20, 60203, 23, 60203]),
    (Hook::SslServername, [21, 60204, 24, 60204]),
    (Hook::SslVerifyServer, [22, 60205, 25, 60205]),
    (Hook::SslVerifyClient, [23, 60206, 26, 60206]),
    (Hook::SslSession, [24, 0, 27, 0]),
    (Hook::VconnOutboundStart, [25, 109, 28, 109]),
    (Hook::VconnOutboundClose, [26, 110, 29, 110]),
];

#[test]
fn hooks_have_the_numbers_of_their_version() {
    assert_eq!(HOOKS.iter().map(|(hook, _)| *hook).collect::<Vec<_>>(), Hook::ALL);
    let event = |hook: Hook, line| hook.event(line).map_or(0, |event| event.0);
    for &(hook, [number_9, event_9, number_10, event_10]) in HOOKS {
        assert_eq!(
            (hook.number(Line::V9).0, event(hook, Line::V9)),
            (number_9, event_9),
            "{hook:?} on 9.2"
        );
        assert_eq!(
            (hook.number(Line::V10).0, event(hook, Line::V10)),
            (number_10, event_10),
            "{hook:?} on 10.x"
        );
    }
    let equal_in_both = [
        (Hook::ReadRequestHdr, TS_HTTP_READ_REQUEST_HDR_HOOK),
        (Hook::SendResponseHdr, TS_HTTP_SEND_RESPONSE_HDR_HOOK),
        (Hook::ResponseTransform, TS_HTTP_RESPONSE_TRANSFORM_HOOK),
        (Hook::TxnClose, TS_HTTP_TXN_CLOSE_HOOK),
        (Hook::PostRemap, TS_HTTP_POST_REMAP_HOOK),
    ];
    for (hook, constant) in equal_in_both {
        assert_eq!(
            (hook.number(Line::V9), hook.number(Line::V10)),
            (constant, constant)
        );
    }
}

#[test]
fn lifecycle_hooks_have_the_numbers_of_their_version() {
    let known = |version: &Version| {
        (0..12)
            .filter(|id| TSLifecycleHookID(*id).is_in(version))
            .collect::<Vec<_>>()
    };
    assert_eq!(known(&V9), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(known(&V10_0), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(known(&V10_1), known(&V10_0));
    assert_eq!(known(&V10_2), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(TS_LIFECYCLE_MSG_HOOK.0, 5);
    assert_eq!(TS_LIFECYCLE_SHUTDOWN_HOOK.0, 7);
    assert_eq!(TS_EVENT_LIFECYCLE_LOG_INITIALIZED.0, 60108);
}

#[test]
fn milestone_numbers_are_positions() {
    let counts = [(V9, 24), (V10_0, 24), (V10_1, 24), (V10_2, 26)];
    for (version, count) in counts {
        let table = milestones(&version);
        assert_eq!(table.len(), count);
        assert!(
            table
                .iter()
                .zip(0..)
                .all(|((_, milestone), number)| milestone.0 == number)
        );
    }
    let table = milestones(&V10_2);
    assert_eq!(table.first(), Some(&("UA_BEGIN", TS_MILESTONE_UA_BEGIN)));
    assert_eq!(
        table.last(),
        Some(&("SERVER_TLS_HANDSHAKE_END", TS_MILESTONE_SERVER_TLS_HANDSHAKE_END))
    );
    assert_eq!(TS_MILESTONE_SERVER_CLOSE.0, 11);
    assert_eq!(TS_MILESTONE_TLS_HANDSHAKE_END.0, 23);
}

#[test]
fn values_that_are_equal_everywhere() {
    assert_eq!((TS_ERROR.0, TS_SUCCESS.0), (-1, 0));
    assert!(TS_SUCCESS.is_success() && !TS_ERROR.is_success());
    assert_eq!((TS_EVENT_HTTP_CONTINUE.0, TS_EVENT_HTTP_ERROR.0), (60000, 60001));
    assert_eq!((TS_EVENT_IMMEDIATE.0, TS_EVENT_TIMEOUT.0), (1, 2));
    assert_eq!((TS_EVENT_VCONN_READ_READY.0, TS_EVENT_VCONN_EOS.0), (100, 104));
    assert_eq!(
        (TS_EVENT_CACHE_OPEN_READ.0, TS_EVENT_CACHE_READ_COMPLETE.0),
        (1102, 1135)
    );
    assert_eq!((TS_EVENT_MGMT_UPDATE.0, TS_EVENT_SSL_SECRET.0), (60300, 60208));
    assert_eq!((TS_CACHE_LOOKUP_MISS.0, TS_CACHE_LOOKUP_SKIPPED.0), (0, 3));
    assert_eq!(
        (TS_SRVSTATE_ACTIVE_TIMEOUT.0, TS_SRVSTATE_OUTBOUND_CONGESTION.0),
        (1, 11)
    );
    assert_eq!((TS_RECORDDATATYPE_INT.0, TS_RECORDDATATYPE_STRING.0), (1, 3));
    assert_eq!((TS_STAT_PERSISTENT.0, TS_STAT_NON_PERSISTENT.0), (1, 2));
    assert_eq!((TS_STAT_SYNC_SUM.0, TS_STAT_SYNC_TIMEAVG.0), (0, 3));
    assert_eq!((TS_THREAD_POOL_NET.0, TS_THREAD_POOL_TASK.0), (0, 1));
    assert_eq!((TS_USER_ARGS_TXN.0, TS_USER_ARGS_GLB.0), (0, 3));
    assert_eq!((TSREMAP_ERROR.0, TSREMAP_DID_REMAP_STOP.0), (-1, 3));
    assert_eq!((TS_VC_CLOSE_ABORT.0, TS_VC_CLOSE_NORMAL.0), (-1, 1));
    assert_eq!((TS_HTTP_TYPE_REQUEST.0, TS_HTTP_TYPE_RESPONSE.0), (1, 2));
    assert_eq!(
        (TS_IOBUFFER_SIZE_INDEX_32K.0, TS_IOBUFFER_WATER_MARK_UNDEFINED.0),
        (8, -1)
    );
    assert_eq!(
        (TS_CACHE_ERROR_NO_DOC.0, TS_CACHE_ERROR_NOT_READY.0),
        (-20400, -20407)
    );
    assert_eq!((TS_TXN_INFO_NONE.0, TS_TXN_INFO_CACHE_VOLUME.0), (-1, 5));
}
