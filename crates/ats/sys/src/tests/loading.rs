//! Loading in a process that is no Traffic Server: the tests' own.

use std::process::Command;

use crate::{
    DebugTag, Line, LoadError, TSHttpTxnTypeGet, TSIOBufferCreate, Version, debug_enabled, is_loaded, load,
};

#[test]
fn a_plain_process_is_told_apart() {
    let error = load().err();
    assert_eq!(error, Some(LoadError::NoTrafficServer));
    assert_eq!(load().err(), error);
    assert!(!is_loaded());
    assert_eq!(
        error.map(|error| error.to_string()).unwrap_or_default(),
        "this process is no Traffic Server: it exports TSTrafficServerVersionGetMajor neither as a C function (9.2) \
         nor as a C++ function (10.x)"
    );
}

#[test]
fn errors_name_version_and_functions() {
    let version = Version {
        line: Line::V10,
        major: 10,
        minor: 1,
        patch: 4,
    };
    let missing = LoadError::Missing {
        version,
        functions: vec!["TSContCreate", "TSContDestroy"],
    };
    assert_eq!(
        missing.to_string(),
        "Traffic Server 10.1.4 lacks functions that are needed: TSContCreate, TSContDestroy"
    );
    let later = Version { major: 11, ..version };
    assert_eq!(
        LoadError::Unsupported(later).to_string(),
        "Traffic Server 11.1.4 is not supported: 9.2 and 10.x are"
    );
}

#[test]
fn optional_functions_are_absent_before_load() {
    static TAG: DebugTag = DebugTag::new(c"weir");
    assert!(TSHttpTxnTypeGet.get().is_none());
    assert!(!TAG.on() && !debug_enabled(c"weir"));
    TAG.print(c"nothing is shown");
}

#[test]
fn a_call_before_load_ends_the_process_with_a_message() -> std::io::Result<()> {
    use std::os::unix::process::ExitStatusExt;

    let child = Command::new(std::env::current_exe()?)
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "tests::loading::calls_before_load",
        ])
        .output()?;
    assert_eq!(child.status.signal(), Some(libc::SIGABRT));
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(
        said.contains("called before weir_ats_sys::load succeeded"),
        "{said}"
    );
    Ok(())
}

#[test]
#[ignore = "ends the process; the test above runs it in a child"]
fn calls_before_load() {
    // SAFETY: it takes nothing; the process ends in the stand-in.
    unsafe { TSIOBufferCreate() };
}
